"""The whole proof: machine, recording, cases in the order of their worth, and the record after each of them."""

import contextlib
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import torch
from diffusers.utils import logging as diffusers_logging
from transformers import logging as transformers_logging

from kilnwatt_worker.diffusers_engine.energy import counter_of
from kilnwatt_worker.diffusers_engine.engine import DiffusersEngine
from kilnwatt_worker.diffusers_engine.load import Read, device_of
from kilnwatt_worker.errors import WorkerError
from proof.architectures import ARCHITECTURES
from proof.building import reader, write_folder
from proof.catalogue import read_catalogue
from proof.limits import Interruption, TimeUp, at_most
from proof.machine import commit_of, machine_facts, matrix_teraflops
from proof.options import Options
from proof.plan import REAL, SMALL, Visit, plan
from proof.power import PowerStream
from proof.record import Record, cases_of
from proof.recording import Recording
from proof.running import Case, Runner
from proof.telling import told
from tiny_models.pipelines import RECIPES
from tiny_models.writing import ensure

UNSETTLED = ("stopped", "failed", "not read back")
"""Outcomes that another start tries again."""
LEAST_SECONDS = 5.0
"""Less is not worth beginning a case for."""
AFTER_SECONDS = 5.0
"""Of the recording, once the card is idle again."""


def prove(options: Options, interruption: Interruption) -> int:
    """The exit code."""
    started = time.monotonic()
    diffusers_logging.set_verbosity_error()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        device = device_of(options.device)
        visits = _planned(options)
    except WorkerError as error:
        return _fail(6, error.message)
    except ValueError as error:
        return _fail(2, str(error))
    record = _record(options, device)
    try:
        earlier = [] if options.fresh else cases_of(record)
    except ValueError as error:
        return _fail(2, str(error))
    record.cases = [case for case in earlier if case.get("outcome") not in UNSETTLED]
    done = {str(case["visit"]) for case in record.cases}
    with tempfile.TemporaryDirectory(prefix="gpu-proof-") as folder:
        session = Session(options, record, device, Path(folder), started)
        try:
            session.work_off([visit for visit in visits if visit.key not in done], interruption)
        except KeyboardInterrupt:
            record.ended = "interrupted"
        finally:
            session.close()
    print(f"{record.ended}: {record.file}")
    return _exit_code(record)


class Session:
    """One engine and one stream of power for all cases."""

    def __init__(self, options: Options, record: Record, device: torch.device, folder: Path, started: float) -> None:
        self._options = options
        self._record = record
        self._started = started
        self._recording: Recording | None = None
        self._recording_file = options.recording or record.file.with_suffix(".ndjson")
        self._uuid = _uuid(record.machine)
        self._counter = counter_of(device)
        self._power = PowerStream(self._uuid, self._on_row)
        folders, read = _models(options, folder, device)
        pictures = folder / "pictures"
        pictures.mkdir()
        engine = DiffusersEngine(read)
        self._runner = Runner(engine, options.device, folders, pictures, self._power.millijoules)

    def work_off(self, visits: list[Visit], interruption: Interruption) -> None:
        """Ends with `ended` told in the record, whose file is whole after each case."""
        for number, visit in enumerate(visits):
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

    def _case(self, visit: Visit) -> bool:
        """True when the card was lost."""
        case: Case = {
            "visit": visit.key,
            "date": _now(),
            "family": visit.family.name,
            "preset": visit.preset.name,
            "kind": visit.kind,
            "params": visit.family.params,
            "asked": visit.preset,
        }
        self._record.cases.append(case)
        allowed = min(self._left(), self._options.case_seconds)
        try:
            with at_most(allowed):
                self._runner.visit(visit, case)
        except TimeUp:
            case["reason"] = f"it was cut off after {allowed:.0f} s"
        except WorkerError:
            return True
        finally:
            self._save()
            print(told(case), flush=True)
        if self._recording is not None:
            self._recording.mark("unloading")
        self._runner.unload(case)
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


def _planned(options: Options) -> list[Visit]:
    families = SMALL if options.small else REAL
    kind = "cuda" if options.device.startswith("cuda") else "cpu"
    found = plan(
        [families[name] for name in options.families], read_catalogue(options.catalogue), kind, options.presets
    )
    if not found:
        raise ValueError(f"no preset of {options.catalogue} is named {' or '.join(options.presets)}")
    return found


def _record(options: Options, device: torch.device) -> Record:
    machine = machine_facts(device)
    return Record(
        file=options.out or _default_file(options, machine),
        date=_now(),
        machine=machine,
        options={
            "commit": commit_of(options.root),
            "small": options.small,
            "device": options.device,
            "budget_seconds": options.budget_seconds,
            "matrix_teraflops": matrix_teraflops(device),
        },
    )


def _default_file(options: Options, machine: dict[str, object]) -> Path:
    """Only what a card has really done lies among the records."""
    card = machine["card"]
    name = re.sub(r"[^a-z0-9]+", "-", str(card["name"]).lower()).strip("-") if isinstance(card, dict) else "unknown"
    real = options.device.startswith("cuda") and not options.small
    return options.root / ("bench/records" if real else ".scratch") / f"gpu-{name}.json"


def _models(options: Options, folder: Path, device: torch.device) -> tuple[dict[str, Path], Read | None]:
    if options.small:
        return {name: ensure(RECIPES[name], folder).path for name in options.families}, None
    for name in options.families:
        write_folder(ARCHITECTURES[name], folder / name)
    return {name: folder / name for name in options.families}, reader(dict(ARCHITECTURES), device)


def _uuid(machine: dict[str, object]) -> str | None:
    card = machine["card"]
    return str(card["uuid"]) if isinstance(card, dict) and "uuid" in card else None


def _exit_code(record: Record) -> int:
    ends = {"interrupted": 130, "budget": 3, "defect": 1, "device lost": 6}
    if record.ended in ends:
        return ends[record.ended]
    return 5 if any(case.get("outcome") in UNSETTLED for case in record.cases) else 0


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _fail(code: int, sentence: str) -> int:
    print(f"gpu-proof: {sentence}", file=sys.stderr)
    return code
