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


def cases_of(record: Record) -> list[dict[str, object]]:
    """
    What an earlier start left in the same file; none where there is no file. Raises ValueError for a record of another
    kind of card, of other versions or of models of another size, which must not be lost, nor mixed with this one.
    """
    if not record.file.exists():
        return []
    try:
        earlier = json.loads(record.file.read_text(encoding="utf-8"))
        same = earlier["schema"] == SCHEMA and _kind(earlier["machine"], earlier["options"]) == _kind(
            record.machine, record.options
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        same = False
    if not same:
        raise ValueError(
            f"{record.file} is no record of this machine's kind; name another --out, or forget it by --fresh"
        )
    cases: list[dict[str, object]] = earlier["cases"]
    return cases


def _kind(machine: object, options: object) -> object:
    """Of two cards of one kind either may go on with what the other began; a lent one is rarely the same."""
    told = tidy({"machine": machine, "options": options})
    return _at(told, "machine", "card", "name"), _at(told, "machine", "versions"), _at(told, "options", "small")


def _at(value: object, *path: str) -> object:
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value


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
