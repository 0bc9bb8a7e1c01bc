"""
`python -m kilnwatt_worker.contact_sheet OUT`: many pictures on one sheet, each with its caption under it.

Reads a JSON list of `{"path", "caption"}` in UTF-8 from standard input, writes a PNG. Exits with 2 and the reason on
standard error when it cannot. A picture that cannot be read leaves its place empty.
"""

import json
import math
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

CELL, GAP, MARGIN = 192, 16, 24
"""Pixels: a picture's square, between two, and around all."""
FONT_SIZE, LINE, MOST_LINES = 13, 17, 3
MOST_COLUMNS, MOST_PICTURES = 10, 400
PAPER, INK, FAINT = (250, 250, 248), (38, 38, 42), (225, 225, 222)
WIDE_FONTS = ("NotoSansCJK-Regular.ttc", "DejaVuSans.ttf")
"""Looked for among the system's fonts where a caption has letters that Pillow's own font lacks."""

REFUSED = 2
"""The exit code that comes with a reason; Python's own 1 comes with a traceback."""

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


@dataclass(frozen=True, slots=True)
class Pictured:
    path: str
    caption: str


def main() -> int:
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(128 + signal.SIGTERM))
    out = Path(sys.argv[1])
    pictures = [Pictured(**each) for each in json.load(sys.stdin.buffer)]
    try:
        write(pictures, out)
    except FileExistsError:
        print("a file stands where its folder should be", file=sys.stderr)
        return REFUSED
    except OSError as error:
        print(error.strerror or error, file=sys.stderr)
        return REFUSED
    return 0


def write(pictures: list[Pictured], out: Path) -> None:
    """Whole or not at all; makes the folder, and replaces what is there. Raises OSError."""
    part = out.with_name(f".{out.name}.part")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with open(part, "wb") as file:
            draw(pictures).save(file, "PNG")
        part.replace(out)
    finally:
        if part.exists():
            part.unlink()


def draw(pictures: list[Pictured]) -> Image.Image:
    """At most MOST_PICTURES; a last line says how many more there are."""
    shown, left_out = pictures[:MOST_PICTURES], len(pictures) - MOST_PICTURES
    font = font_for("".join(picture.caption for picture in shown))
    captions = [wrapped(picture.caption, font) for picture in shown]
    columns = min(MOST_COLUMNS, max(1, math.ceil(math.sqrt(len(shown) * 1.5))))
    rows = [captions[start : start + columns] for start in range(0, len(shown), columns)]
    heights = [CELL + GAP // 2 + LINE * max(len(lines) for lines in row) for row in rows]
    footer = [f"and {left_out} more"] if left_out > 0 else []
    width = 2 * MARGIN + columns * CELL + (columns - 1) * GAP
    height = 2 * MARGIN + sum(heights) + (len(rows) - 1) * GAP + (LINE + GAP) * len(footer)
    sheet = Image.new("RGB", (width, height), PAPER)
    pencil = ImageDraw.Draw(sheet)
    top = MARGIN
    for number, (row, row_height) in enumerate(zip(rows, heights, strict=True)):
        for column, lines in enumerate(row):
            left = MARGIN + column * (CELL + GAP)
            _paste(sheet, shown[number * columns + column].path, left, top)
            for line_number, line in enumerate(lines):
                pencil.text((left, top + CELL + GAP // 2 + LINE * line_number), line, INK, font)
        top += row_height + GAP
    for line in footer:
        pencil.text((MARGIN, top), line, INK, font)
    return sheet


def wrapped(text: str, font: Font) -> list[str]:
    """Lines no wider than a picture, MOST_LINES of them; what does not fit ends in an ellipsis."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if font.getlength(longer) <= CELL or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(word)
    if len(lines) > MOST_LINES:
        lines = [*lines[: MOST_LINES - 1], f"{lines[MOST_LINES - 1]} …"]
    return [_clipped(line, font) for line in lines]


def _clipped(line: str, font: Font) -> str:
    if font.getlength(line) <= CELL:
        return line
    kept = line.removesuffix(" …")
    while kept and font.getlength(f"{kept}…") > CELL:
        kept = kept[:-1]
    return f"{kept}…"


def _paste(sheet: Image.Image, path: str, left: int, top: int) -> None:
    try:
        with Image.open(path) as opened:
            picture = opened.convert("RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):  # all that Pillow says of a broken file
        ImageDraw.Draw(sheet).rectangle((left, top, left + CELL - 1, top + CELL - 1), outline=FAINT)
        return
    scale = CELL / max(picture.size)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    small = picture.resize(size, Image.Resampling.LANCZOS)
    sheet.paste(small, (left + (CELL - small.width) // 2, top + (CELL - small.height) // 2))


def font_for(text: str) -> Font:
    if any(ord(letter) > 0x24F for letter in text):
        for name in WIDE_FONTS:
            try:
                return ImageFont.truetype(name, FONT_SIZE)
            except OSError:
                continue
    return ImageFont.load_default(FONT_SIZE)


if __name__ == "__main__":
    sys.exit(main())
