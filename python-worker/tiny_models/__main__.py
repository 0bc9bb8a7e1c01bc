"""
`make-test-models OUT_DIR [--only NAME,…] [--json]`: writes small pipelines with random weights.

A folder is written under another name and renamed when it is complete; so one that exists is complete, and kept.
"""

import argparse
import json
import os
import shutil
import sys
import time
from pathlib import Path

from diffusers.utils import logging as diffusers_logging
from transformers import logging as transformers_logging

from tiny_models.pipelines import RECIPES, TESTS, Recipe, make

INDEX = "model_index.json"


def main() -> int:
    options = argparse.ArgumentParser(prog="make-test-models")
    options.add_argument("out_dir", type=Path)
    options.add_argument("--only", default=",".join(TESTS), help=f"of {', '.join(RECIPES)}; default: %(default)s")
    options.add_argument("--json", action="store_true", help="end with one line of JSON")
    asked = options.parse_args()
    names = [name for name in asked.only.split(",") if name]
    unknown = [name for name in names if name not in RECIPES]
    if unknown or not names:
        options.error(f"--only knows {', '.join(RECIPES)}, not {', '.join(unknown) or 'nothing'}")
    diffusers_logging.set_verbosity_error()
    diffusers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    made = [_ensure(RECIPES[name], asked.out_dir, quiet=asked.json) for name in names]
    if asked.json:
        print(json.dumps({"models": made}))
    return 0


def _ensure(recipe: Recipe, out_dir: Path, quiet: bool) -> dict[str, object]:
    started = time.monotonic()
    folder = (out_dir / recipe.folder).absolute()
    made = not (folder / INDEX).is_file()
    if made:
        _write(recipe, folder)
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    if not quiet:
        print(f"{folder}: {recipe.about}, {size / 1e6:.1f} MB, {'made' if made else 'kept'}")
    seconds = round(time.monotonic() - started, 2)
    return {"name": recipe.folder, "path": str(folder), "bytes": size, "made": made, "seconds": seconds}


def _write(recipe: Recipe, folder: Path) -> None:
    part = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        make(recipe).save_pretrained(part, safe_serialization=True)
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


if __name__ == "__main__":
    sys.exit(main())
