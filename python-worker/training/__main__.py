"""`train-shapes OUT_DIR`: trains the model in the box and writes it as a pipeline folder."""

import argparse
import sys
import tempfile
from pathlib import Path

import torch
from safetensors import SafetensorError

from training.checkpoint import CheckpointError
from training.course import Course, train
from training.recipe import FULL, MINIATURE


def main() -> int:
    options = argparse.ArgumentParser(
        prog="train-shapes",
        description=__doc__,
        epilog="Exit codes: 0 done, 1 it failed and said why, 2 something asked for cannot be, 130 interrupted.",
    )
    options.add_argument("out_dir", type=Path, help="folder of the pipeline; must not exist")
    options.add_argument("--checkpoints", type=Path, help="default: OUT_DIR.checkpoints")
    options.add_argument("--seed", type=_seed, default=1, help="0 to 4294967295; default: %(default)s")
    options.add_argument(
        "--device",
        type=_device,
        default="cuda" if torch.cuda.is_available() else "cpu",
        help="as PyTorch names it; default: %(default)s",
    )
    options.add_argument("--miniature", action="store_true", help="a minute's training, to try the command")
    asked = options.parse_args()
    checkpoints = asked.checkpoints or asked.out_dir.with_name(f"{asked.out_dir.name}.checkpoints")
    if trouble := _trouble(asked.out_dir, checkpoints):
        options.error(trouble)
    course = Course(MINIATURE if asked.miniature else FULL, asked.seed, asked.device, checkpoints)
    try:
        train(course, asked.out_dir)
    except (CheckpointError, SafetensorError, OSError) as error:
        print(f"train-shapes: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        there = any(checkpoints.glob("*.safetensors"))
        further = f"the same command goes on from {checkpoints}" if there else "nothing was kept yet"
        print(f"\ntrain-shapes: interrupted; {further}", file=sys.stderr)
        return 130
    print(
        f"train-shapes: written to {asked.out_dir}; ./scripts/eval-shapes {asked.out_dir} judges it, and {checkpoints} "
        "is of no more use",
        file=sys.stderr,
    )
    return 0


def _seed(text: str) -> int:
    if not text.isdecimal() or int(text) >= 2**32:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number from 0 to 4294967295")
    return int(text)


def _device(text: str) -> torch.device:
    """One that counts: a device of shapes alone (`meta`) does not."""
    try:
        one = torch.ones(1, device=text)
        one.item()
    except (RuntimeError, AssertionError, ImportError) as error:
        raise argparse.ArgumentTypeError(f"{text} cannot be used here ({str(error).splitlines()[0]})") from error
    return one.device


def _trouble(out_dir: Path, checkpoints: Path) -> str | None:
    """Why this training could not be kept: an hour's work must not end at that."""
    try:
        if out_dir.exists():
            return f"{out_dir} exists; name another folder or remove it"
    except OSError as error:
        return f"{out_dir} cannot be looked at ({error.strerror or error}); name another folder"
    if out_dir.resolve() in (checkpoints.resolve(), *checkpoints.resolve().parents):
        return f"--checkpoints {checkpoints} lies in {out_dir}, which is written last and whole; name another folder"
    for folder in (out_dir.parent, checkpoints):
        if trouble := _unwritable(folder):
            return f"{folder} cannot be written ({trouble}); name another folder"
    return None


def _unwritable(folder: Path) -> str | None:
    """Why nothing can be put into a folder, which is made for it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return None
    except OSError as error:
        return error.strerror or str(error)


if __name__ == "__main__":
    sys.exit(main())
