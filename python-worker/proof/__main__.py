"""`gpu-proof`: the arguments, and the packages, before anything heavy is imported."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from proof.limits import Interruption
from proof.options import Options
from proof.wheels import OPTIONAL, WANTED, fetch, installed

ROOT = Path(__file__).resolve().parents[2]
FAMILIES = ("sdxl", "flux", "sd")
EPILOG = """\
exit codes: 0 all that was planned is in the record; 1 a defect, or the disk; 2 a bad argument; 3 the time was up, and
the record says what was left out; 5 a preset neither held nor was refused with a reason; 6 no card, no PyTorch, or a
package is missing; 130 interrupted, and the record has what there was. Started again with the same --out, it goes on
where it ended.
"""


def main() -> int:
    parser = _parser()
    asked = parser.parse_args()
    if asked.fetch_wheels is not None:
        return fetch(ROOT / "python-worker", asked.fetch_wheels, asked.python, asked.packages)
    if asked.wheels is not None:
        _start_again_with(asked.wheels, parser)
    families = [name for name in FAMILIES if name in asked.only]
    if not families or set(asked.only) - set(FAMILIES):
        parser.error(f"--only knows {', '.join(FAMILIES)}, not {', '.join(asked.only)}")
    interruption = Interruption()
    interruption.listen()
    try:
        from proof.proving import prove
    except ImportError as error:
        print(
            f"gpu-proof: this Python cannot import {error.name} ({error}); "
            "fetch wheels with --fetch-wheels on a machine with a network, and name their folder with --wheels",
            file=sys.stderr,
        )
        return 6
    return prove(
        Options(
            root=ROOT,
            device=asked.device,
            small=asked.small,
            families=tuple(families),
            presets=tuple(asked.presets),
            catalogue=asked.catalogue,
            out=asked.out,
            recording=asked.recording,
            budget_seconds=asked.budget_seconds,
            case_seconds=asked.case_seconds,
            idle_seconds=asked.idle_seconds,
            fresh=asked.fresh,
        ),
        interruption,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="gpu-proof",
        description="Runs every preset on this machine's card with SDXL, Flux and SD 1.5 of random weights, and "
        "records what is in effect, what it took and what it is worth. Needs PyTorch; reaches no network.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--device", default="cuda:0", help="default: %(default)s")
    parser.add_argument("--small", action="store_true", help="tiny models: proves the script, says nothing of a card")
    parser.add_argument("--only", type=_names, default=FAMILIES, metavar="FAMILIES", help="of sdxl,flux,sd")
    parser.add_argument("--presets", type=_names, default=(), metavar="NAMES", help="default: all for the device")
    parser.add_argument("--catalogue", type=Path, default=ROOT / "src" / "preset" / "catalogue.json", metavar="FILE")
    parser.add_argument("--out", type=Path, metavar="FILE", help="default: bench/records/gpu-CARD.json")
    parser.add_argument("--recording", type=Path, metavar="FILE", help="default: beside the record, as .ndjson")
    parser.add_argument("--budget-seconds", type=float, default=540.0, metavar="N", help="default: %(default)g")
    parser.add_argument("--case-seconds", type=float, default=180.0, metavar="N", help="for one preset, %(default)g")
    parser.add_argument("--idle-seconds", type=float, default=10.0, metavar="N", help="recorded first, %(default)g")
    parser.add_argument("--fresh", action="store_true", help="forget what an earlier start recorded")
    parser.add_argument("--wheels", type=Path, metavar="DIR", help="packages that this machine lacks")
    parser.add_argument("--fetch-wheels", type=Path, metavar="DIR", help="download them, and do nothing else")
    parser.add_argument("--python", default="3.12", metavar="X.Y", help="of the other machine, for --fetch-wheels")
    more = f"for --fetch-wheels; {','.join(OPTIONAL)} (43 MB, for NF4) is not among the default ones"
    parser.add_argument("--packages", type=_names, default=WANTED, metavar="NAMES", help=more)
    return parser


def _names(text: str) -> tuple[str, ...]:
    return tuple(name for name in text.split(",") if name)


def _start_again_with(wheels: Path, parser: argparse.ArgumentParser) -> None:
    """In the same process, as a package that this Python has imported already would not be replaced."""
    try:
        target = installed(wheels)
    except ValueError as error:
        parser.error(str(error))
    paths = [str(target), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    os.execve(sys.executable, [sys.executable, "-P", "-m", "proof", *_without_wheels(sys.argv[1:])], environment)


def _without_wheels(arguments: Sequence[str]) -> list[str]:
    kept: list[str] = []
    skip = False
    for argument in arguments:
        if not (skip or argument == "--wheels" or argument.startswith("--wheels=")):
            kept.append(argument)
        skip = argument == "--wheels"
    return kept


if __name__ == "__main__":
    sys.exit(main())
