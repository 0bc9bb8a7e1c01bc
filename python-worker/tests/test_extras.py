"""What is asked for and not installed is named, with the command that adds it."""

import sys
import tomllib
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

from kilnwatt_worker.errors import WorkerError
from kilnwatt_worker.extras import MODULES, NEEDS, NEEDS_ON_A_CARD, installed, require
from kilnwatt_worker.parts import Preset
from tests.worker_process import PACKAGE_ROOT


def test_a_package_that_is_there_is_let_through() -> None:
    require("quantize", "int8_weights", "torchao", "torchao.quantization")


def test_a_missing_package_is_named_with_the_command_that_adds_it() -> None:
    with pytest.raises(WorkerError) as caught:
        require("attention", "sage", "sage", "a_package_of_nobody.inside")
    assert caught.value.code == "preset_package_missing"
    assert caught.value.message == (
        "attention=sage needs the package a_package_of_nobody, which is not installed; "
        "run `./scripts/setup --with sage`, then start again"
    )


def test_a_package_that_fails_while_it_is_imported_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As one does that was built for another torch."""
    (tmp_path / "built_for_another.py").write_text("raise OSError('undefined symbol: _ZN3c10\\nmore of it')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(WorkerError) as caught:
        require("attention", "flash", "flash", "built_for_another")
    assert caught.value.code == "preset_package_missing"
    assert caught.value.message == (
        "attention=flash needs the package built_for_another, which is installed but cannot be imported "
        "(undefined symbol: _ZN3c10); run `./scripts/setup --with flash`, then start again"
    )
    assert "built_for_another" not in sys.modules


def test_every_extra_of_the_project_has_its_module_and_its_pins() -> None:
    project = tomllib.loads((PACKAGE_ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    extras = project["project"]["optional-dependencies"]
    assert list(extras) == list(MODULES)
    assert [package for packages in extras.values() for package in packages if "==" not in package] == []


def test_every_need_is_of_a_setting_that_there_is_and_of_an_extra_that_installs_it() -> None:
    choices = get_type_hints(Preset)
    for (setting, value), (extra, module) in {**NEEDS, **NEEDS_ON_A_CARD}.items():
        assert value in get_args(choices[setting])
        assert MODULES[extra] == module.partition(".")[0]


def test_the_extras_that_are_tested_here_are_installed() -> None:
    assert {"torchao", "bitsandbytes", "deepcache"} <= {*installed()}
