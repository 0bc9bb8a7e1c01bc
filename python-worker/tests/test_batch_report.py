import io
import json
from pathlib import Path

import pytest

from kilnwatt_worker.batch_report import BatchReport
from kilnwatt_worker.cancellations import Cancellations
from kilnwatt_worker.channel import Channel
from kilnwatt_worker.errors import BadRequest, WorkerError
from kilnwatt_worker.parts import Phase
from tests.samples import generate_of, item


class Bench:
    """A report whose clock is turned by hand."""

    def __init__(self, folder: Path, jobs: int = 2) -> None:
        self.now = 100.0
        self.out = io.BytesIO()
        self.phases: list[Phase] = []
        self.items = [item(number, folder / str(number)) for number in range(jobs)]
        for one in self.items:
            Path(one.out).write_bytes(b"picture")
        self.cancellations = Cancellations()
        self.cancellations.opened("batch-1")
        self.report = BatchReport(
            generate_of(self.items), Channel(self.out, "l"), self.cancellations, self.phases.append, lambda: self.now
        )

    def sent(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.out.getvalue().splitlines()]


def test_an_engine_that_answers_twice_is_found_out(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.report.image(bench.items[0], 8, 8)
    with pytest.raises(WorkerError, match="answered job job-0 twice"):
        bench.report.failure(bench.items[0], BadRequest("no"))
    assert len(bench.sent()) == 1


def test_an_engine_that_forgets_a_job_does_not_leave_it_without_an_answer(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.report.image(bench.items[0], 8, 8)
    bench.report.settle(None)
    assert [(message["type"], message["job"]) for message in bench.sent()] == [("image", "job-0"), ("failure", "job-1")]
    assert bench.sent()[1]["code"] == "internal"


def test_a_picture_that_vanished_after_saving_fails_alone_for_its_disk(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    Path(bench.items[0].out).unlink()
    for one in bench.items:
        bench.report.image(one, 8, 8)
    bench.report.settle(None)
    assert [(message["type"], message["job"]) for message in bench.sent()] == [("failure", "job-0"), ("image", "job-1")]
    assert bench.sent()[0]["code"] == "not_writable"


def test_what_the_batch_failed_with_goes_to_the_jobs_that_are_left(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.cancellations.cancel("batch-1", ("job-0",))
    assert bench.report.wanted() == {"job-1"}
    bench.report.settle(BadRequest("no such thing"))
    cancelled, failure = bench.sent()
    assert (cancelled["type"], cancelled["jobs"]) == ("cancelled", ["job-0"])
    assert (failure["job"], failure["code"], failure["message"]) == ("job-1", "bad_request", "no such thing")


def test_a_job_that_is_given_up_is_answered_when_the_engine_looks_and_the_others_go_on(tmp_path: Path) -> None:
    bench = Bench(tmp_path, jobs=3)
    bench.cancellations.cancel("batch-1", ("job-1",))
    assert bench.sent() == []
    assert bench.report.wanted() == bench.report.wanted() == {"job-0", "job-2"}
    assert [(message["type"], message["jobs"]) for message in bench.sent()] == [("cancelled", ["job-1"])]
    bench.report.image(bench.items[2], 8, 8)
    bench.cancellations.cancel("batch-1", ("job-0", "job-1", "job-2"))
    bench.report.settle(None)
    assert [message["type"] for message in bench.sent()] == ["cancelled", "image", "cancelled"]
    assert bench.sent()[2]["jobs"] == ["job-0"]


def test_an_engine_may_say_that_it_compiles_and_that_is_no_time_of_the_pictures(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    for phase, seconds in (("encode", 1.0), ("compile", 60.0), ("denoise", 4.0)):
        bench.report.phase(phase)  # type: ignore[arg-type]
        bench.now += seconds
    phases = bench.report.settle(BadRequest("no"))
    assert bench.phases == ["encode", "compile", "denoise", "idle"]
    assert (phases.encode, phases.denoise, phases.decode, phases.save) == (1.0, 4.0, 0.0, 0.0)


def test_time_is_booked_on_the_phase_that_it_was_spent_in(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    for phase, seconds in (("encode", 1.0), ("denoise", 4.0), ("decode", 0.5), ("save", 0.25), ("decode", 0.5)):
        bench.report.phase(phase)  # type: ignore[arg-type]
        bench.now += seconds
    phases = bench.report.settle(BadRequest("no"))
    assert (phases.encode, phases.denoise, phases.decode, phases.save) == (1.0, 4.0, 1.0, 0.25)
    assert bench.phases[-1] == "idle"


def test_progress_that_comes_too_fast_is_left_out(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    for step in range(100):
        bench.report.progress(step, 100)
        bench.now += 0.0625
    assert len(bench.sent()) == 25


def test_cancellations_are_forgotten_with_their_batch() -> None:
    cancellations = Cancellations()
    assert not cancellations.cancel("b", ("j",))
    cancellations.opened("b")
    assert cancellations.cancel("b", ("j",))
    assert cancellations.of("b") == {"j"}
    cancellations.closed("b")
    assert cancellations.of("b") == frozenset()
