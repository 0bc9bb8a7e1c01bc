"""The record file: what was found, whole after every case, whatever ends the program."""

import dataclasses
import json
import math
import os
from pathlib import Path

SCHEMA = 1


@dataclasses.dataclass
class Record:
    """As it stands in the file, but for `file`; `bench/records/README.md` says what the fields mean."""

    file: Path
    date: str
    machine: dict[str, object]
    options: dict[str, object]
    cases: list[dict[str, object]] = dataclasses.field(default_factory=list)
    left_out: list[dict[str, str]] = dataclasses.field(default_factory=list)
    ended: str = "running"
    seconds: float = 0.0

    def write(self) -> None:
        """Beside it and renamed, so that there is never half a record."""
        whole = {"schema": SCHEMA, **{key: value for key, value in vars(self).items() if key != "file"}}
        self.file.parent.mkdir(parents=True, exist_ok=True)
        part = self.file.with_name(f".{self.file.name}.{os.getpid()}.part")
        part.write_text(json.dumps(tidy(whole), indent=2, allow_nan=False) + "\n", encoding="utf-8")
        part.replace(self.file)


def cases_of(file: Path, machine: dict[str, object]) -> list[dict[str, object]]:
    """What an earlier start found on the same card with the same versions; none where there is no such record."""
    try:
        earlier = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    if not isinstance(earlier, dict) or earlier.get("schema") != SCHEMA or earlier.get("machine") != tidy(machine):
        return []
    found = earlier.get("cases")
    return found if isinstance(found, list) else []


def tidy(value: object) -> object:
    """Dataclasses as objects, seven digits of a number, and null for what is infinite, as is the PSNR of equals."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return tidy(dataclasses.asdict(value))
    if isinstance(value, dict):
        return {str(key): tidy(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [tidy(item) for item in value]
    if isinstance(value, float):
        return float(f"{value:.7g}") if math.isfinite(value) else None
    return value
