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
    options = argparse.ArgumentParser(prog="train-shapes", description=__doc__)
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
    if asked.out_dir.exists():
        options.error(f"{asked.out_dir} exists; name another folder or remove it")
    checkpoints = asked.checkpoints or asked.out_dir.with_name(f"{asked.out_dir.name}.checkpoints")
    for folder in (asked.out_dir.parent, checkpoints):
        if trouble := _unwritable(folder):
            options.error(f"{folder} cannot be written ({trouble}); name another folder")
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
    return 0


def _seed(text: str) -> int:
    if not text.isdecimal() or int(text) >= 2**32:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number from 0 to 4294967295")
    return int(text)


def _device(text: str) -> torch.device:
    try:
        return torch.zeros(1, device=text).device
    except (RuntimeError, AssertionError) as error:
        raise argparse.ArgumentTypeError(f"{text} cannot be used here ({str(error).splitlines()[0]})") from error


def _unwritable(folder: Path) -> str | None:
    """Why nothing can be put into a folder, which is made for it: an hour's work must not end at that."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return None
    except OSError as error:
        return error.strerror or str(error)


if __name__ == "__main__":
    sys.exit(main())
