"""`train-shapes OUT_DIR`: trains the model in the box and writes it as a pipeline folder."""

import argparse
import sys
from pathlib import Path

import torch

from training.checkpoint import CheckpointError
from training.course import Course, train
from training.recipe import FULL, MINIATURE


def main() -> int:
    options = argparse.ArgumentParser(prog="train-shapes", description=__doc__)
    options.add_argument("out_dir", type=Path, help="folder of the pipeline; must not exist")
    options.add_argument("--checkpoints", type=Path, help="default: OUT_DIR.checkpoints")
    options.add_argument("--seed", type=int, default=1)
    options.add_argument(
        "--device", default="cuda" if torch.cuda.is_available() else "cpu", help="default: %(default)s"
    )
    options.add_argument("--miniature", action="store_true", help="a minute's training, to try the command")
    asked = options.parse_args()
    if asked.out_dir.exists():
        options.error(f"{asked.out_dir} exists; name another folder or remove it")
    checkpoints = asked.checkpoints or asked.out_dir.with_name(f"{asked.out_dir.name}.checkpoints")
    course = Course(MINIATURE if asked.miniature else FULL, asked.seed, torch.device(asked.device), checkpoints)
    try:
        train(course, asked.out_dir)
    except (CheckpointError, OSError) as error:
        print(f"train-shapes: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"\ntrain-shapes: interrupted; the same command goes on from {checkpoints}", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
