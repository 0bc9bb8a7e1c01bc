"""What is told of work that failed, when its meter can be read and when not."""

import dataclasses
import io
import json

from kilnwatt_worker import resident
from kilnwatt_worker.channel import Channel
from kilnwatt_worker.energy import Energy
from kilnwatt_worker.engine import EngineFacts, LogTo, Report, Usage
from kilnwatt_worker.errors import OutOfMemory, Stopped, WorkerError
from kilnwatt_worker.loop import Loop
from kilnwatt_worker.messages import Generate, Load
from tests.samples import PRESET, generate_of, item, load_of

BURNT = Energy(1_000, "rapl", "derived", ("whole_package",), None, None)


class FailingEngine:
    """Also its own window, which raises where it has no energy to tell."""

    kind = "fake"

    def __init__(self, error: Exception | None, energy: Energy | None, generating: Exception | None = None) -> None:
        self._error = error
        self._energy = energy
        self._generating = generating

    def window(self, device: str) -> "FailingEngine":
        return self

    def close(self) -> Usage:
        if self._energy is None:
            raise WorkerError("internal", "the meter was lost")
        return Usage(resident.host_memory(), self._energy)

    def load(self, load: Load, log: LogTo) -> EngineFacts:
        if self._error is not None:
            raise self._error
        return EngineFacts({}, {})

    def generate(self, generate: Generate, report: Report) -> None:
        self._energy = None
        raise self._generating or Stopped

    def unload(self) -> None:
        pass


def told_by(engine: FailingEngine, *requests: Load | Generate) -> list[dict[str, object]]:
    out = io.BytesIO()
    loop = Loop(Channel(out, "launch-1"), io.BytesIO(), "launch-1", "fake", lambda: engine)
    for request in requests:
        if isinstance(request, Generate):
            loop._cancellations.opened(request.batch)
        loop._work(request)
    messages = [json.loads(line) for line in out.getvalue().splitlines()]
    return [message for message in messages if message["type"] not in ("heartbeat", "progress")]


def test_a_load_that_fails_tells_what_it_took() -> None:
    """Its reading was thrown away: a load of minutes that ended for want of memory was in no sum."""
    (failure,) = told_by(FailingEngine(OutOfMemory("the device"), BURNT), load_of("/m", PRESET))
    assert failure["code"] == "out_of_memory"
    assert failure["energy"] == json.loads(json.dumps(dataclasses.asdict(BURNT)))


def test_a_meter_that_cannot_be_read_does_not_stand_in_for_why_a_load_failed() -> None:
    log, failure = told_by(FailingEngine(WorkerError("model_broken", "it has no weights"), None), load_of("/m", PRESET))
    assert (failure["code"], failure["message"], failure["energy"]) == ("model_broken", "it has no weights", None)
    assert log["message"] == "what the work took that failed could not be read: the meter was lost"


def test_nor_for_why_a_batch_failed() -> None:
    engine = FailingEngine(None, BURNT, OutOfMemory("the device"))
    messages = told_by(engine, load_of("/m", PRESET), generate_of([item(0)]))
    assert [message["code"] for message in messages if message["type"] == "failure"] == ["out_of_memory"]
    done = messages[-1]
    assert isinstance(done["energy"], dict)
    assert (done["type"], done["energy"]["method"]) == ("done", "unknown")
