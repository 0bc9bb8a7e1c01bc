"""Prints `ok` where this Python can make kilnwatt's environment, else one sentence that says what to do."""

import sys

OLDEST, NEWEST = (3, 11), (3, 14)


def verdict() -> str:
    version = "{}.{}".format(*sys.version_info[:2])
    if not OLDEST <= sys.version_info[:2] <= NEWEST:
        return (
            f"python3 is {version}, and 3.11 to 3.14 are needed: "
            "install one, for example with 'apt install python3.11 python3.11-venv', then start again"
        )
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError:
        return f"Python {version} has no venv: install it with 'apt install python3-venv', then start again"
    return "ok"


print(verdict())
