"""
Puts a model on the disk as a whole or not at all.

A folder is written under another name and renamed when it is complete; so one that exists is complete, and kept.
"""

import json
import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from tiny_models.pipelines import Recipe, make

INDEX = "model_index.json"
OWN = "kilnwatt.json"


@dataclass(frozen=True)
class Written:
    name: str
    path: Path
    bytes: int
    made: bool
    """False where it was there already."""
    seconds: float


def ensure(recipe: Recipe, out_dir: Path) -> Written:
    started = time.monotonic()
    folder = (out_dir / recipe.folder).absolute()
    made = not (folder / INDEX).is_file()
    if made:
        _write(recipe, folder)
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    return Written(recipe.folder, folder, size, made, round(time.monotonic() - started, 2))


def _write(recipe: Recipe, folder: Path) -> None:
    part = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        make(recipe).save_pretrained(part, safe_serialization=True)
        if recipe.own is not None:
            (part / OWN).write_text(json.dumps(recipe.own) + "\n", encoding="utf-8")
        _put(part, folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _put(part: Path, folder: Path) -> None:
    """Another process may have finished the same model first; then that one stays."""
    if folder.exists() and not (folder / INDEX).is_file():
        shutil.rmtree(folder)
    try:
        part.rename(folder)
    except OSError:
        if not (folder / INDEX).is_file():
            raise
