"""Optional packages: what is missing is told before anything imports it."""

import importlib.util

from kilnwatt_worker.errors import WorkerError


def require(setting: str, value: str, extra: str, module: str) -> None:
    """Raises WorkerError `preset_package_missing` where the module is not installed."""
    if importlib.util.find_spec(module) is None:
        raise WorkerError(
            "preset_package_missing",
            f"{setting}={value} needs the package {module}, which is not installed; "
            f"run `./scripts/setup --with {extra}`, then start again",
        )
