"""Many pictures on one sheet, with their prompts."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kilnwatt_worker.contact_sheet import (
    CELL,
    GAP,
    LINE,
    MARGIN,
    MOST_LINES,
    MOST_PICTURES,
    PAPER,
    Pictured,
    draw,
    font_for,
    wrapped,
)
from tests.worker_process import PACKAGE_ROOT

COLORS = [(200, 30, 30), (30, 200, 30), (30, 30, 200)]


@pytest.fixture
def three(tmp_path: Path) -> list[Pictured]:
    for number, color in enumerate(COLORS):
        Image.new("RGB", (64, 32 if number == 1 else 64), color).save(tmp_path / f"{number}.png")
    return [Pictured(str(tmp_path / f"{number}.png"), f"a prompt with number {number}") for number in range(3)]


def middle_of(sheet: Image.Image, column: int, top: int = MARGIN) -> object:
    return sheet.getpixel((MARGIN + column * (CELL + GAP) + CELL // 2, top + CELL // 2))


def test_pictures_stand_in_their_order_over_their_captions(three: list[Pictured]) -> None:
    sheet = draw(three)
    assert [middle_of(sheet, column) for column in range(3)] == COLORS
    under = sheet.crop((MARGIN, MARGIN + CELL + GAP // 2, MARGIN + CELL, sheet.height - MARGIN))
    assert np.asarray(under).min() < 90  # ink


def test_the_second_row_goes_on_where_the_first_ends(three: list[Pictured]) -> None:
    sheet = draw([three[number % 3] for number in range(7)])
    second = MARGIN + CELL + GAP // 2 + LINE + GAP
    assert [middle_of(sheet, column) for column in range(4)] == [COLORS[number % 3] for number in range(4)]
    assert [middle_of(sheet, column, second) for column in range(3)] == [COLORS[number % 3] for number in range(4, 7)]
    assert middle_of(sheet, 3, second) == PAPER


def test_a_wide_picture_keeps_its_shape(three: list[Pictured]) -> None:
    sheet = draw([three[1]])
    assert middle_of(sheet, 0) == COLORS[1]
    assert sheet.getpixel((MARGIN + CELL // 2, MARGIN + 4)) != COLORS[1]


def test_a_picture_that_is_gone_leaves_its_place_empty(three: list[Pictured]) -> None:
    sheet = draw([three[0], Pictured("/nowhere/at all.png", "gone"), three[2]])
    assert [middle_of(sheet, 0), middle_of(sheet, 2)] == [COLORS[0], COLORS[2]]
    assert middle_of(sheet, 1) not in COLORS


def test_a_picture_that_is_broken_leaves_its_place_empty(three: list[Pictured], tmp_path: Path) -> None:
    """Pillow finds the first while it opens the file, the second while it decodes it."""
    whole = Path(three[0].path).read_bytes()
    for number, content in enumerate([whole[:60], whole[:33] + bytes([0xFF]) * 40 + whole[73:]]):
        Path(three[number].path).write_bytes(content)
    sheet = draw(three)
    assert [middle_of(sheet, column) for column in range(3)] == [PAPER, PAPER, COLORS[2]]


def test_thousands_of_pictures_make_a_sheet_that_can_be_opened(three: list[Pictured]) -> None:
    sheet = draw(three * MOST_PICTURES)
    assert sheet.width < 4000
    assert sheet.height < 20_000
    full = draw((three * MOST_PICTURES)[:MOST_PICTURES])
    assert sheet.height == full.height + LINE + GAP
    said = sheet.crop((MARGIN, full.height - MARGIN, sheet.width, sheet.height))
    assert np.asarray(said).min() < 90  # "and 800 more"


def test_a_long_caption_is_cut_and_says_so(three: list[Pictured]) -> None:
    font = font_for("")
    lines = wrapped("a very long prompt that goes on and on " * 10, font)
    assert len(lines) == MOST_LINES
    assert lines[-1].endswith("…")
    [line] = wrapped("x" * 200, font)
    assert line.endswith("…")
    assert font.getlength(line) <= CELL
    assert wrapped("", font) == [""]


def test_the_command_writes_the_sheet_whole_and_says_what_is_wrong(three: list[Pictured], tmp_path: Path) -> None:
    named = [tmp_path / "äußerst.png", *(Path(each.path) for each in three[1:])]
    Path(three[0].path).rename(named[0])
    asked = json.dumps([{"path": str(path), "caption": "größer, 红色"} for path in named], ensure_ascii=False)

    def command(out: Path) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "kilnwatt_worker.contact_sheet", str(out)],
            input=asked,
            capture_output=True,
            encoding="utf-8",
            env={**os.environ, "PYTHONIOENCODING": "latin-1"},
            cwd=PACKAGE_ROOT,
            check=False,
            timeout=60,
        )

    out = tmp_path / "sheet.png"
    assert command(out).returncode == 0
    with Image.open(out) as sheet:
        assert sheet.format == "PNG"
        assert middle_of(sheet, 0) == COLORS[0]
    refused = command(tmp_path / "1.png" / "sheet.png")
    assert (refused.returncode, refused.stderr.strip()) == (2, "a file stands where its folder should be")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["1.png", "2.png", "sheet.png", "äußerst.png"]
