"""What a command answers to that which cannot be."""

import sys
from collections.abc import Callable, Sequence

import pytest


def refusal(
    main: Callable[[], int],
    argv: Sequence[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> str:
    """The one sentence with which `main` refuses `argv`, the command's name first; it exits with 2."""
    monkeypatch.setattr(sys, "argv", [*argv])
    with pytest.raises(SystemExit) as refused:
        main()
    assert refused.value.code == 2
    start = f"{argv[0]}: error:"
    [line] = [line for line in capsys.readouterr().err.splitlines() if line.startswith(start)]
    return line
