"""One engine and one stream of power for all cases, and the record after each of them."""

import contextlib
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import torch

from kilnwatt_worker.diffusers_engine.energy import counter_of
from kilnwatt_worker.diffusers_engine.engine import DiffusersEngine
from kilnwatt_worker.errors import WorkerError
from proof.building import models_of
from proof.limits import Interruption, TimeUp, at_most
from proof.options import Options
from proof.plan import Run, Visit, steps_to_compare
from proof.power import PowerStream
from proof.record import Record
from proof.recording import Recording
from proof.running import Case, Runner
from proof.telling import told

LEAST_SECONDS = 5.0
"""Less is not worth beginning a case for."""
AFTER_SECONDS = 5.0
"""Of the recording, once the card is idle again."""


class Session:
    def __init__(self, options: Options, record: Record, device: torch.device, folder: Path, started: float) -> None:
        self._options = options
        self._record = record
        self._started = started
        self._drawn: set[str] = set()
        self._recording: Recording | None = None
        self._recording_file = options.recording or record.file.with_suffix(".ndjson")
        self._uuid = _uuid(record.machine)
        self._counter = counter_of(device)
        self._power = PowerStream(self._uuid, self._on_row)
        folders, read = models_of(options.families, options.small, folder, device)
        pictures = folder / "pictures"
        pictures.mkdir()
        engine = DiffusersEngine(read)
        self._runner = Runner(engine, options.device, folders, pictures, self._power.millijoules)

    def work_off(self, visits: list[Visit], interruption: Interruption) -> None:
        """Ends with `ended` told in the record, whose file is whole after each case."""
        for number, visit in enumerate(visits):
            if self._left() >= LEAST_SECONDS and self._draw_plain(visits[number:]):
                self._record.ended = "device lost"
                return
            interruption.check()
            if self._left() < LEAST_SECONDS:
                self._leave_out(visits[number:])
                return
            with self._recorded() if number == 0 and self._is_to_be_recorded() else contextlib.nullcontext():
                lost = self._case(visit)
            interruption.check()
            if lost:
                self._record.ended = "device lost"
                return
        self._record.ended = "complete"

    def close(self) -> None:
        if self._record.ended == "running":
            self._record.ended = "defect"
        self._save()
        self._power.close()

    def _draw_plain(self, visits: list[Visit]) -> bool:
        """
        What the first of these, and later ones of its family, are to be compared with, where an earlier start made it:
        pictures are not kept, and another card draws others. No case of the record. True when the card was lost.
        """
        first = visits[0]
        lacking = [
            n for n in steps_to_compare(visits, first.family) if not self._runner.has_plain(first.family.name, n)
        ]
        if not lacking or first.family.name in self._drawn:
            return False
        self._drawn.add(first.family.name)
        runs = tuple(Run(1, steps) for steps in lacking)
        case: Case = {"visit": f"{first.family.name} {first.plain.name}, to compare with"}
        lost = self._timed(Visit(first.family, first.plain, "plain", runs, first.plain), case)
        print(told(case), flush=True)
        if not lost:
            self._runner.unload(case)
        return lost

    def _case(self, visit: Visit) -> bool:
        """True when the card was lost."""
        case: Case = {
            "visit": visit.key,
            "date": now(),
            "family": visit.family.name,
            "preset": visit.preset.name,
            "kind": visit.kind,
            "params": visit.family.params,
            "asked": visit.preset,
        }
        self._record.cases.append(case)
        try:
            if self._timed(visit, case):
                return True
        finally:
            self._save()
            print(told(case), flush=True)
        if self._recording is not None:
            self._recording.mark("unloading")
        self._runner.unload(case)
        return False

    def _timed(self, visit: Visit, case: Case) -> bool:
        """True when the card was lost."""
        allowed = min(self._left(), self._options.case_seconds)
        try:
            with at_most(allowed):
                self._runner.visit(visit, case)
        except TimeUp:
            case["reason"] = f"it was cut off after {allowed:.0f} s"
        except WorkerError:
            return True
        return False

    def _is_to_be_recorded(self) -> bool:
        """Not a second time by a start that goes on where another ended."""
        return bool(self._power.fields) and (self._options.fresh or not self._recording_file.exists())

    @contextlib.contextmanager
    def _recorded(self) -> Iterator[None]:
        """The card's meters over the first case: idle, busy, and after the model is gone."""
        card = self._record.machine["card"]
        head = {"fields": self._power.fields, "uuids": [self._uuid], "card": card, "date": self._record.date}
        with Recording(self._recording_file, head, self._uuid, self._counter) as self._recording:
            self._recording.mark("idle")
            time.sleep(self._options.idle_seconds)
            self._recording.mark("busy")
            yield
            self._recording.mark("unloaded")
            time.sleep(min(AFTER_SECONDS, self._options.idle_seconds))
        self._recording = None

    def _on_row(self, row: str) -> None:
        if self._recording is not None:
            self._recording.row(row)

    def _leave_out(self, visits: list[Visit]) -> None:
        self._record.ended = "budget"
        self._record.left_out = [
            {"visit": visit.key, "reason": f"the {self._options.budget_seconds:.0f} s were over"} for visit in visits
        ]

    def _left(self) -> float:
        return self._started + self._options.budget_seconds - time.monotonic()

    def _save(self) -> None:
        self._record.seconds = time.monotonic() - self._started
        self._record.write()


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _uuid(machine: dict[str, object]) -> str | None:
    card = machine["card"]
    return str(card["uuid"]) if isinstance(card, dict) and "uuid" in card else None
