"""Puts the trained pipeline on the disk, whole or not at all, as any diffusers user would load it."""

import json
import shutil
from pathlib import Path

import torch
from diffusers import StableDiffusionPipeline

DEFAULTS = {"steps": 20, "guidance": 2.0}


def write(pipeline: StableDiffusionPipeline, side: int, folder: Path) -> None:
    """Weights in half precision. `kilnwatt.json` says the size and the settings that suit the model."""
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    pipeline.to(dtype=torch.float16).save_pretrained(part, safe_serialization=True)
    own = {"native_size": [side, side], "defaults": DEFAULTS}
    (part / "kilnwatt.json").write_text(json.dumps(own, indent=2) + "\n", encoding="utf-8")
    part.rename(folder)
