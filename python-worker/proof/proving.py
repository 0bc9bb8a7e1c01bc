"""The whole proof: machine, recording, cases in the order of their worth, and the record after each of them."""

import math
import re
import sys
import tempfile
import time
from pathlib import Path

import torch
from diffusers.utils import logging as diffusers_logging
from transformers import logging as transformers_logging

from kilnwatt_worker.diffusers_engine.load import device_of
from kilnwatt_worker.errors import WorkerError
from proof.catalogue import read_catalogue
from proof.limits import Interruption
from proof.machine import commit_of, machine_facts, matrix_teraflops
from proof.options import Options
from proof.plan import REAL, SMALL, Visit, plan
from proof.record import Record, cases_of
from proof.session import Session, now

UNSETTLED = ("stopped", "failed")
"""Outcomes that another start tries again."""


def prove(options: Options, interruption: Interruption) -> int:
    """The exit code."""
    started = time.monotonic()
    diffusers_logging.set_verbosity_error()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        device = device_of(options.device)
        visits = _planned(options, device)
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


def _planned(options: Options, device: torch.device) -> list[Visit]:
    families = SMALL if options.small else REAL
    memory_gb = torch.cuda.get_device_properties(device).total_memory / 1e9 if device.type == "cuda" else math.inf
    found = plan(
        [families[name] for name in options.families],
        read_catalogue(options.catalogue),
        device.type,
        memory_gb,
        options.presets,
    )
    if not found:
        raise ValueError(f"no preset of {options.catalogue} is named {' or '.join(options.presets)}")
    return found


def _record(options: Options, device: torch.device) -> Record:
    machine = machine_facts(device)
    return Record(
        file=options.out or _default_file(options, machine),
        date=now(),
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


def _exit_code(record: Record) -> int:
    ends = {"interrupted": 130, "budget": 3, "defect": 1, "device lost": 6}
    if record.ended in ends:
        return ends[record.ended]
    return 5 if any(case.get("outcome") in UNSETTLED for case in record.cases) else 0


def _fail(code: int, sentence: str) -> int:
    print(f"gpu-proof: {sentence}", file=sys.stderr)
    return code
