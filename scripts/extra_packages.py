"""
Prints the pinned packages of extras, one a line, as `python-worker/pyproject.toml` has them.

The extras are one argument, with spaces between them. Names that are not there any more are left out, so that an update
stops nobody; after `--refuse` nothing is printed but a sentence on those that are not there, and then it ends with 2.
"""

import sys
import tomllib
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent / "python-worker" / "pyproject.toml"


def main(arguments: list[str]) -> int:
    extras = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    names = arguments[-1].split()
    if arguments[0] != "--refuse":
        print("\n".join(package for name in names for package in extras.get(name, [])))
        return 0
    unknown = [name for name in names if name not in extras]
    if not unknown:
        return 0
    print(f"there is no extra '{unknown[0]}': choose from {', '.join(extras)}")
    return 2


sys.exit(main(sys.argv[1:]))
