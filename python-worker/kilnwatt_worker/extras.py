"""Packages that only some settings need. What each extra installs is in `pyproject.toml`."""

import importlib
from collections.abc import Mapping
from importlib.util import find_spec

from kilnwatt_worker.errors import WorkerError
from kilnwatt_worker.parts import Preset
from kilnwatt_worker.sentences import first_line

MODULES: Mapping[str, str] = {
    "torchao": "torchao",
    "bitsandbytes": "bitsandbytes",
    "deepcache": "DeepCache",
    "xformers": "xformers",
    "tensorrt": "torch_tensorrt",
    "sage": "sageattention",
    "flash": "flash_attn",
}
"""By extra, what is imported from it."""


NEEDS: Mapping[tuple[str, str], tuple[str, str]] = {
    ("quantize", "fp8_dynamic"): ("torchao", "torchao.quantization"),
    ("quantize", "int8_dynamic"): ("torchao", "torchao.quantization"),
    ("quantize", "int8_weights"): ("torchao", "torchao.quantization"),
    ("quantize", "nf4"): ("bitsandbytes", "bitsandbytes"),
    ("quantize_text", "int8_weights"): ("torchao", "torchao.quantization"),
    ("quantize_text", "nf4"): ("bitsandbytes", "bitsandbytes"),
    ("step_cache", "deepcache"): ("deepcache", "DeepCache"),
}
"""By setting and value: the extra, and what is imported from it."""

NEEDS_ON_A_CARD: Mapping[tuple[str, str], tuple[str, str]] = {
    ("attention", "xformers"): ("xformers", "xformers"),
    ("attention", "flash"): ("flash", "flash_attn"),
    ("attention", "sage"): ("sage", "sageattention"),
    ("compile", "tensorrt"): ("tensorrt", "torch_tensorrt"),
}
"""Elsewhere these are refused or downgraded, whether their packages are there or not."""


def require_all(preset: Preset, on_card: bool) -> None:
    """
    Returns where all can be imported that the preset needs: asked before gigabytes of weights are read.

    Raises WorkerError as `require` does.
    """
    needs = {**NEEDS, **NEEDS_ON_A_CARD} if on_card else NEEDS
    for (setting, value), (extra, module) in needs.items():
        if getattr(preset, setting) == value:
            require(setting, value, extra, module)


def require(setting: str, value: object, extra: str, module: str) -> None:
    """
    Returns where `module` can be imported; its first import may take seconds.

    Raises WorkerError `preset_package_missing` that says how the extra is installed, or why it cannot be imported.
    """
    package = module.partition(".")[0]
    mend = f"run `./scripts/setup --with {extra}`, then start again"
    if find_spec(package) is None:
        raise _missing(f"{setting}={value} needs the package {package}, which is not installed; {mend}")
    try:
        importlib.import_module(module)
    except Exception as error:  # what a package says that was built for another torch or card can be anything
        reason = first_line(error)
        why = f"which is installed but cannot be imported ({reason})"
        raise _missing(f"{setting}={value} needs the package {package}, {why}; {mend}") from error


def installed() -> list[str]:
    """Extras that are there, whether they can be imported or not, which takes seconds to find out."""
    return [extra for extra, module in MODULES.items() if find_spec(module) is not None]


def _missing(message: str) -> WorkerError:
    return WorkerError("preset_package_missing", message)
