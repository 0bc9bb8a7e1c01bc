"""`bench-techniques`, with two pictures of few steps."""

import json
import sys
from pathlib import Path

import pytest

from proof import techniques
from proof.techniques import Variant, exit_code, main

FEW = (
    Variant("vae-slicing-true", {"vae_slicing": True}, True, batch=2),
    Variant("lora-rank-any", {"lora_rank": 16}, True, batch=2, swaps=True),
    Variant("dtype-bfloat16", {"dtype": "bfloat16"}, False, batch=2),
    Variant("attention-sdpa-cudnn", {"attention": "sdpa_cudnn"}, True),
    Variant("tf32-true", {"tf32": True}, True, batch=2),
)


def test_what_is_exact_holds_and_is_told_to_fail_where_it_is_refused_or_not_in_effect(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(techniques, "VARIANTS", FEW)
    arguments = ["--prompts", "2", "--rounds", "1", "--steps", "3", "--record", str(tmp_path / "record.json")]
    monkeypatch.setattr(sys, "argv", ["bench-techniques", *arguments])
    assert main() == 1
    record = json.loads((tmp_path / "record.json").read_text())
    slicing, swapped, half, refused, downgraded = record["variants"]
    assert exit_code([slicing, swapped, half]) == 0
    assert [row["holds"] for row in record["variants"]] == [True, True, None, False, False]
    assert (slicing["in_effect"], swapped["in_effect"]) == ({"vae_slicing": True}, {"lora_rank": 16})
    assert 10 < half["psnr_db"]["worst"] < 90
    assert half["accuracy"] is not None
    assert "sdpa_cudnn" in refused["refused"]
    assert downgraded["downgrades"] == ["tf32: a CPU has no such numbers"]
    assert "attention-sdpa-cudnn         DOES NOT HOLD: refused: " in capsys.readouterr().out
