"""A small real program in place of nvidia-smi: two cards, and a power that now and then cannot be had."""

from pathlib import Path

PROGRAM = """#!/usr/bin/env bash
if [ "$1" = --help-query-gpu ]; then printf '"%s"\\n' index uuid power.draw.instant memory.used; exit; fi
while true; do
  echo '0, GPU-other, 999.00, 1'
  echo '1, GPU-ours, [N/A], 1'
  echo '1, GPU-ours, 50.00, 1'
  sleep 0.02
done
"""


def write_nvidia_smi(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    program = folder / "nvidia-smi"
    program.write_text(PROGRAM, encoding="utf-8")
    program.chmod(0o755)
    return program
