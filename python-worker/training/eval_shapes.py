"""`eval-shapes [MODEL]`: the accuracy of the model in the box on prompts that its training never saw, and its speed."""

import argparse
import hashlib
import json
import platform
import sys
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import torch

from kilnwatt_worker.errors import WorkerError
from kilnwatt_worker.quality.verdict import accuracy
from kilnwatt_worker.quality.vocabulary import COLORS, SHAPES
from training import examination
from training.examination import Artist, Examined

BOX = Path(__file__).parents[1] / "models" / "kiln-shapes"
BARS = {"color": 0.99, "background": 0.99, "shape": 0.97, "position": 0.95, "size": 0.95, "pairs": 0.85}
SLOWEST, ON_THREADS = 0.6, 2
"""Seconds for a picture alone, where there are so many cores or more."""


def main() -> int:
    options = argparse.ArgumentParser(
        prog="eval-shapes",
        description=__doc__,
        epilog="Exit codes: 0 all is over its bar, 1 something is under it, 2 something asked for cannot be, "
        "3 it failed and said why, 130 interrupted. "
        f"Bars: {', '.join(f'{name} {bar:.0%}' for name, bar in BARS.items())}, {SLOWEST} s alone.",
    )
    options.add_argument(
        "model", type=Path, nargs="?", default=BOX, help="pipeline folder; default: the model in the box"
    )
    options.add_argument(
        "--device", default="cuda:0" if torch.cuda.is_available() else "cpu", help="default: %(default)s"
    )
    options.add_argument("--seed", type=_count, default=0, help="another choice of prompts; default: %(default)s")
    options.add_argument(
        "--singles", type=_count, default=examination.SINGLES, help="prompts of one thing; default: %(default)s"
    )
    options.add_argument("--pairs", type=_count, default=examination.PAIRS, help="prompts of two; default: %(default)s")
    options.add_argument("--keep", type=Path, help="a folder for the pictures that are not right")
    options.add_argument("--json", action="store_true", help="one line of JSON instead of the tables")
    asked = options.parse_args()
    if asked.singles + asked.pairs == 0:
        options.error("--singles 0 --pairs 0 leaves nothing to judge")
    try:
        if asked.keep is not None:
            asked.keep.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        options.error(f"{asked.keep} cannot be a folder for pictures ({error.strerror or error}); name another one")
    try:
        artist = Artist(asked.model, asked.device)
    except (WorkerError, ValueError, OSError) as error:
        options.error(str(error))
    try:
        return _evaluate(asked, artist)
    except (WorkerError, OSError) as error:
        print(f"eval-shapes: {error}", file=sys.stderr)
        return 3
    except KeyboardInterrupt:
        print("\neval-shapes: interrupted", file=sys.stderr)
        return 130


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text} is not a whole number from 0")
    return int(text)


def _evaluate(asked: argparse.Namespace, artist: Artist) -> int:
    prompts = examination.prompts_of(asked.seed, asked.singles, asked.pairs)
    examined = examination.examine(artist, prompts, asked.keep)
    figures = figures_of(examined)
    seconds = {str(batch): round(examination.seconds_a_picture(artist, batch), 3) for batch in (1, 4, 8)}
    missed = missed_of(figures, seconds["1"], torch.get_num_threads())
    if asked.json:
        about = _circumstances(asked.model, artist)
        confused = {what: confusion_of(examined, what) for what in ("shape", "color")}
        print(json.dumps({**figures, "seconds_a_picture": seconds, **about, "missed": missed, "confusion": confused}))
    else:
        print("\n".join(report(examined, figures, seconds)))
    if asked.keep is not None:
        wrong = sum(not each.verdict.right for each in examined)
        print(
            f"eval-shapes: {wrong} not right, kept in {asked.keep}" if wrong else "eval-shapes: none to keep",
            file=sys.stderr,
        )
    for line in missed:
        print(f"eval-shapes: {line}", file=sys.stderr)
    return 1 if missed else 0


def figures_of(examined: Sequence[Examined]) -> dict[str, float | int | None]:
    """Parts of one, over pictures of one thing; `pairs`: those of two things that are wholly right."""
    singles = [each for each in examined if len(each.asked.things) == 1]
    pairs = [each for each in examined if len(each.asked.things) == 2]
    alone, together = accuracy(each.verdict for each in singles), accuracy(each.verdict for each in pairs)
    return {**alone, "pairs": together["all"], "n": len(singles), "n_pairs": len(pairs)}


def confusion_of(examined: Sequence[Examined], what: str) -> dict[str, dict[str, int]]:
    """How often each word was asked for, and what was seen then; what never was has no entry."""
    table: dict[str, dict[str, int]] = {}
    for (asked, seen), count in sorted(examination.confusion(examined, what).items()):
        table.setdefault(asked, {})[seen] = count
    return table


def missed_of(figures: dict[str, float | int | None], alone: float, threads: int) -> list[str]:
    """A sentence for each figure under its bar; those that were not measured, or on too few `threads`, have none."""
    values = [(name, figures[name], bar) for name, bar in BARS.items()]
    lines = [
        f"{name} is {value:.2%}, under {bar:.0%}" for name, value, bar in values if value is not None and value < bar
    ]
    slow = alone > SLOWEST and threads >= ON_THREADS
    return [*lines, f"a picture alone took {alone} s, over {SLOWEST} s"] if slow else lines


def report(
    examined: Sequence[Examined], figures: dict[str, float | int | None], seconds: dict[str, float]
) -> list[str]:
    different = len({each.prompt for each in examined})
    pictures = f"{figures['n']} pictures of one thing, {figures['n_pairs']} of two"
    lines = [f"{pictures}, by {different} different prompts, none of them seen in training", ""]
    for name, value in figures.items():
        if name not in ("n", "n_pairs"):
            lines.append(f"{name:<12}{'-' if value is None else f'{value:.1%}':>8}")
    lines += ["", *(f"{value:.3f} s a picture in batches of {batch}" for batch, value in seconds.items())]
    for what, words in (("shape", SHAPES), ("color", tuple(COLORS))):
        lines += ["", f"{what} asked for (rows) and seen", *_table(examination.confusion(examined, what), words)]
    wrong = [each for each in examined if not each.verdict.right]
    return lines + (["", "not right:"] if wrong else []) + [f"  {each.prompt}: {_wrong(each)}" for each in wrong]


def _table(counts: Counter[tuple[str, str]], words: Sequence[str]) -> list[str]:
    columns = [*words, examination.UNKNOWN]
    head = " " * 10 + "".join(f"{word[:8]:>9}" for word in columns)
    rows = [f"{row:<10}" + "".join(f"{counts[row, column] or '.':>9}" for column in columns) for row in words]
    return [head, *rows]


def _wrong(each: Examined) -> str:
    said = ", ".join(question for question, answer in each.verdict.answers().items() if answer is False)
    unknown = examination.UNKNOWN
    seen = "; ".join(
        f"{thing.size} {thing.color or unknown} {thing.shape or unknown}, {thing.place}" for thing in each.seen.things
    )
    return f"{said} (seen: {seen or 'nothing'} on {each.seen.background or unknown})"


def weights_hash(model: Path) -> str:
    """SHA-256 over the weights, in the order of their paths: of which model a record is."""
    whole = hashlib.sha256()
    for file in sorted(model.rglob("*.safetensors")):
        whole.update(file.relative_to(model).as_posix().encode())
        whole.update(file.read_bytes())
    return f"sha256:{whole.hexdigest()}"


def _circumstances(model: Path, artist: Artist) -> dict[str, object]:
    params = artist.params
    return {
        "weights": weights_hash(model),
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "settings": f"{params.scheduler}, {params.steps} steps, guidance {params.guidance}",
        "pixels": f"{params.width}x{params.height}",
        "machine": f"{platform.machine()}, {torch.get_num_threads()} threads",
        "torch": str(torch.__version__),
    }


if __name__ == "__main__":
    sys.exit(main())
