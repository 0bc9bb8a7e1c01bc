"""Who may import what."""

import ast
import subprocess
import sys
from pathlib import Path

from tests.worker_process import PACKAGE_ROOT

PACKAGE = PACKAGE_ROOT / "kilnwatt_worker"
HEAVY = ("torch", "diffusers", "transformers")


def imports_of(file: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            found.add(node.module.split(".")[0])
    return found


def test_only_the_diffusers_engine_names_torch_and_diffusers() -> None:
    outside = [file for file in PACKAGE.rglob("*.py") if "diffusers_engine" not in file.parts]
    assert [file.name for file in outside if imports_of(file) & {*HEAVY}] == []


def test_what_runs_before_hello_loads_nothing_heavy() -> None:
    heavy = ", ".join(repr(name) for name in (*HEAVY, "PIL", "numpy"))
    program = f"import sys, kilnwatt_worker.__main__; print([name for name in ({heavy}) if name in sys.modules])"
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=PACKAGE_ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    assert ended.stdout.strip() == "[]"
