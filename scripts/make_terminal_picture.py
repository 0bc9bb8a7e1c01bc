"""Draws what a command shows in a terminal as SVG: `make_terminal_picture.py OUT.svg SHOWN COMMAND [ARGUMENT …]`.

SHOWN is what stands behind the prompt in the picture. For the README, in a fresh clone that is set up:
`make_terminal_picture.py docs/first-run.svg ./scripts/quickstart ./scripts/quickstart`.
"""

import os
import pty
import re
import struct
import sys
import termios
from fcntl import ioctl
from html import escape
from pathlib import Path

COLUMNS, ROWS = 144, 50
CHARACTER, LINE, MARGIN, SIZE = 7.83, 19, 20, 13
BACKGROUND, TEXT = "#1b1d22", "#d8dae0"
COLOURS = {"31": "#f07178", "32": "#9ccc65", "33": "#ffcb6b", "36": "#80cbc4", "2": "#7f848e"}
ESCAPE = re.compile(r"\x1b\[([\d;]*)([A-Za-z])")


def main(out: Path, shown: str, command: list[str]) -> int:
    status, text = run(command)
    if status != 0:
        print(text)
        return status
    lines = [f"\x1b[32m$\x1b[39m {shown}", *(part for line in text.splitlines() for part in wrapped(line))]
    out.write_text(drawn(f"A terminal after {shown}", lines), encoding="utf-8")
    return 0


def run(command: list[str]) -> tuple[int, str]:
    """The exit status, and the lines as they stood at the end: what was erased is left out."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ.update(TERM="xterm-256color", COLUMNS=str(COLUMNS))
        os.execvp(command[0], command)
    ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    chunks = []
    while chunk := read(terminal):
        chunks.append(chunk)
    _, status = os.waitpid(pid, 0)
    text = b"".join(chunks).decode("utf-8", "replace").replace("\r\n", "\n")
    return os.waitstatus_to_exitcode(status), re.sub(r"[^\n]*\r\x1b\[2K", "", text)


def read(terminal: int) -> bytes:
    """Linux answers EIO, not an end of file, when the last program has left a terminal."""
    try:
        return os.read(terminal, 65536)
    except OSError:
        return b""


def wrapped(line: str) -> list[str]:
    """As a terminal does it. Lines with colours fit already: the program cuts them to the terminal's width."""
    if "\x1b" in line or len(line) <= COLUMNS:
        return [line]
    return [line[at : at + COLUMNS] for at in range(0, len(line), COLUMNS)]


def drawn(title: str, lines: list[str]) -> str:
    width, height = round(COLUMNS * CHARACTER + 2 * MARGIN), len(lines) * LINE + 2 * MARGIN
    rows = [
        f'<text x="{MARGIN}" y="{MARGIN + LINE * at + SIZE}" xml:space="preserve">{spans(line)}</text>'
        for at, line in enumerate(lines)
        if line.strip()
    ]
    size = f'width="{width}" height="{height}"'
    family = "ui-monospace, Menlo, Consolas, DejaVu Sans Mono, monospace"
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} viewBox="0 0 {width} {height}">',
            f"<title>{escape(title)}</title>",
            f'<rect {size} rx="8" fill="{BACKGROUND}"/>',
            f'<g font-family="{family}" font-size="{SIZE}" fill="{TEXT}">',
            *rows,
            "</g>",
            "</svg>",
            "",
        ]
    )


def spans(line: str) -> str:
    """Colours that the picture knows become spans; all other escapes vanish."""
    parts, colour, at = [], None, 0
    for match in [*ESCAPE.finditer(line), None]:
        text = escape(line[at : match.start() if match else len(line)])
        if text:
            parts.append(text if colour is None else f'<tspan fill="{colour}">{text}</tspan>')
        if match:
            at = match.end()
            colour = COLOURS.get(match[1]) if match[2] == "m" else colour
    return "".join(parts)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2], sys.argv[3:]))
