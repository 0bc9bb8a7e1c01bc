"""`make-test-models OUT_DIR [--only NAME,…] [--json]`: writes small pipelines with random weights."""

import argparse
import dataclasses
import json
import sys
from pathlib import Path

from diffusers.utils import logging as diffusers_logging
from safetensors import SafetensorError
from transformers import logging as transformers_logging

from tiny_models.pipelines import RECIPES, TESTS, Recipe
from tiny_models.writing import Written, ensure


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
    try:
        written = [_ensure(RECIPES[name], asked.out_dir, quiet=asked.json) for name in names]
    except (OSError, SafetensorError) as error:
        print(
            f"the models cannot be written to {asked.out_dir} ({_first_line(error)}); "
            "free some space or name another folder",
            file=sys.stderr,
        )
        return 1
    if asked.json:
        print(json.dumps({"models": [{**dataclasses.asdict(model), "path": str(model.path)} for model in written]}))
    return 0


def _ensure(recipe: Recipe, out_dir: Path, quiet: bool) -> Written:
    written = ensure(recipe, out_dir)
    if not quiet:
        print(f"{written.path}: {recipe.about}, {written.bytes / 1e6:.1f} MB, {'made' if written.made else 'kept'}")
    return written


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


if __name__ == "__main__":
    sys.exit(main())
