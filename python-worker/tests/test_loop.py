"""The process as its supervisor sees it, with the fake engine and real pipes."""

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from kilnwatt_worker.fake_engine import read_script
from kilnwatt_worker.loop import EXIT_DEVICE_LOST, EXIT_ORPHANED, EXIT_READER_DIED
from kilnwatt_worker.strict import MAX_LINE_BYTES, Refused
from tests.worker_process import LAUNCH, PACKAGE_ROOT, worker


def types_of(messages: list[dict[str, object]]) -> list[object]:
    return [message["type"] for message in messages]


def jobs_of(messages: list[dict[str, object]], kind: str) -> list[object]:
    return [message["job"] for message in messages if message["type"] == kind]


def test_hello_comes_first_and_shutdown_ends_with_0(tmp_path: Path) -> None:
    with worker(tmp_path) as child:
        (hello,) = child.answers("hello")
        assert hello["launch"] == LAUNCH
        assert hello["pid"] == child.process.pid
        assert hello["engine_kind"] == "fake"
        child.send("shutdown")
        child.end_input()
        assert child.process.wait(5) == 0


def test_a_batch_has_one_answer_an_item_and_then_done(tmp_path: Path) -> None:
    with worker(tmp_path, script={"fail_on": "cursed"}) as child:
        child.load()
        child.generate(tmp_path, ["a fox", "a cursed fox", "an owl"])
        messages = [message for message in child.answers("done") if message["type"] != "progress"]
        assert types_of(messages) == ["image", "failure", "image", "done"]
        assert jobs_of(messages, "image") == ["b1-0", "b1-2"]
        assert messages[1]["code"] == "black_image"
        for message in (messages[0], messages[2]):
            with Image.open(str(message["out"])) as picture:
                assert (picture.format, picture.size) == ("PNG", (64, 64))
                assert len(picture.convert("L").getcolors() or []) > 16
            assert message["bytes"] == os.path.getsize(str(message["out"]))


def test_the_real_engine_makes_a_picture_through_the_same_channel(tmp_path: Path, model: Callable[[str], Path]) -> None:
    with worker(tmp_path, engine="diffusers") as child:
        child.answers("hello")
        assert b"libtorch" not in Path(f"/proc/{child.process.pid}/maps").read_bytes(), "hello waited for torch"
        loaded = child.load(str(model("sd")))[-1]
        assert isinstance(loaded["settings"], dict)
        assert loaded["settings"]["dtype"] == "float32"
        child.generate(tmp_path, ["a red circle", "a blue star"])
        assert jobs_of(child.answers("done"), "image") == ["b1-0", "b1-1"]
        child.send("unload")
        child.answers("unloaded")
        child.generate(tmp_path, ["a red circle"], batch="b2")
        assert child.answers("failure")[-1]["code"] == "not_loaded"


def test_noise_on_every_stream_leaves_the_channel_clean(tmp_path: Path) -> None:
    with worker(tmp_path, script={"chatter": True}) as child:
        child.load()
        child.generate(tmp_path, ["a fox"], steps=6)
        messages = child.answers("done")
        assert jobs_of(messages, "image") == ["b1-0"]
        log = child.log.read_bytes()
        assert log.count(b"a grandchild prints too") == 6
        assert log.count(b'"type":"done"') == 6


def test_what_cannot_be_read_is_answered_or_logged_and_the_process_goes_on(tmp_path: Path) -> None:
    with worker(tmp_path) as child:
        child.answers("hello")
        child.send_raw(b"\n\nnot json\n")
        assert "not JSON" in str(child.answers("log")[-1]["message"])
        child.send_raw(b'"' + b"x" * (MAX_LINE_BYTES * 2) + b'"\n')
        assert "longer than" in str(child.answers("log")[-1]["message"])
        child.send("paint")
        assert "'paint' is not one of ours" in str(child.answers("log")[-1]["message"])
        child.send("heartbeat", phase="idle", rss_bytes=1)
        assert "the worker's own" in str(child.answers("log")[-1]["message"])
        child.send("load", engine="e1")
        failure = child.answers("failure")[-1]
        assert (failure["batch"], failure["job"], failure["code"]) == (None, None, "bad_request")
        child.load()
        child.generate(tmp_path, ["a fox"])
        assert "image" in types_of(child.answers("done"))


def test_a_huge_name_in_a_broken_line_is_cut_and_the_reader_lives_on_to_see_the_end(tmp_path: Path) -> None:
    with worker(tmp_path) as child:
        child.load()
        huge = "\u00e9" * (MAX_LINE_BYTES // 2 - 400)  # six bytes a letter in an answer that repeats it
        head = {"v": 1, "type": "generate", "launch": LAUNCH, "seq": 2, "batch": "b1", "items": [{"job": "j1"}]}
        line = json.dumps({**head, huge: 1}, ensure_ascii=False).encode() + b"\n"
        assert MAX_LINE_BYTES - 1000 < len(line) <= MAX_LINE_BYTES
        child.send_raw(line)
        log, failure, _ = child.answers("done")
        assert (failure["job"], failure["code"]) == ("j1", "bad_request")
        assert len(str(log["message"])) < 600
        named = {**head, "batch": huge, "items": []}
        child.send_raw(json.dumps(named, ensure_ascii=False).encode() + b"\n")
        assert "lacks the field" in str(child.answers("log")[-1]["message"])
        child.end_input()
        assert child.process.wait(5) == EXIT_ORPHANED


def test_a_batch_that_cannot_be_read_still_gets_an_answer_for_each_job(tmp_path: Path) -> None:
    with worker(tmp_path) as child:
        child.load()
        child.generate(tmp_path, ["a fox", "an owl"], steps=0)
        messages = child.answers("done")
        assert types_of(messages) == ["log", "failure", "failure", "done"]
        assert jobs_of(messages, "failure") == ["b1-0", "b1-1"]
        assert "message.params.steps" in str(messages[1]["message"])


def test_a_message_for_another_launch_is_not_obeyed(tmp_path: Path) -> None:
    with worker(tmp_path) as child:
        child.answers("hello")
        child.send_raw(json.dumps({"v": 1, "type": "shutdown", "launch": "other", "seq": 1}).encode() + b"\n")
        assert "message.launch is other" in str(child.answers("log")[-1]["message"])
        child.load()


def test_a_batch_for_an_engine_that_is_not_loaded_fails_retryably(tmp_path: Path) -> None:
    with worker(tmp_path) as child:
        child.generate(tmp_path, ["a fox"])
        failure = child.answers("done")[1]
        assert (failure["code"], failure["retryable"]) == ("not_loaded", True)


def test_a_failed_load_is_a_failure_without_batch_and_job(tmp_path: Path) -> None:
    with worker(tmp_path, script={"load_failure": "model_broken"}) as child:
        child.load(until="failure")
        child.generate(tmp_path, ["a fox"])
        assert child.answers("failure")[-1]["code"] == "not_loaded"


def test_out_of_memory_is_retryable_for_every_item_without_an_answer(tmp_path: Path) -> None:
    with worker(tmp_path, script={"memory_batch": 1}) as child:
        child.load()
        child.generate(tmp_path, ["a fox", "an owl"])
        failures = [message for message in child.answers("done") if message["type"] == "failure"]
        assert [(failure["code"], failure["retryable"]) for failure in failures] == [("out_of_memory", True)] * 2
        child.generate(tmp_path, ["a fox"], batch="b2")
        assert jobs_of(child.answers("done"), "image") == ["b2-0"]


def test_a_lost_device_answers_every_item_ends_the_batch_and_then_the_process(tmp_path: Path) -> None:
    with worker(tmp_path, script={"lose_on": "boom"}) as child:
        child.load()
        child.generate(tmp_path, ["a fox", "boom"])
        messages = [message for message in child.answers("done") if message["type"] != "progress"]
        assert types_of(messages) == ["failure", "failure", "done"]
        assert [(message["code"], message["retryable"]) for message in messages[:2]] == [("device_lost", True)] * 2
        assert child.process.wait(5) == EXIT_DEVICE_LOST


def test_a_device_lost_while_loading_is_the_answer_to_the_load_and_ends_the_process(tmp_path: Path) -> None:
    with worker(tmp_path, script={"load_failure": "device_lost"}) as child:
        assert child.load(until="failure")[-1]["code"] == "device_lost"
        assert child.process.wait(5) == EXIT_DEVICE_LOST


def test_a_cancel_of_all_ends_the_batch_between_two_steps(tmp_path: Path) -> None:
    with worker(tmp_path, script={"step_seconds": 0.02}) as child:
        child.load()
        child.generate(tmp_path, ["a fox", "an owl"], steps=10_000)
        child.answers("progress")
        child.send("cancel", batch="b1", jobs=["b1-0", "b1-1"])
        messages = child.answers("done")
        assert [message["jobs"] for message in messages if message["type"] == "cancelled"] == [["b1-0", "b1-1"]]
        assert jobs_of(messages, "image") == []


def test_a_cancel_of_one_leaves_the_others_their_pictures(tmp_path: Path) -> None:
    with worker(tmp_path, script={"step_seconds": 0.02}) as child:
        child.load()
        child.generate(tmp_path, ["a fox", "an owl"], steps=20)
        child.send("cancel", batch="b1", jobs=["b1-0"])
        assert child.answers("cancelled")[-1]["jobs"] == ["b1-0"]
        messages = child.answers("done")
        assert "progress" in types_of(messages), "the answer waited for the end of the batch"
        assert jobs_of(messages, "image") == ["b1-1"]


def test_a_cancel_overtakes_a_batch_that_still_waits(tmp_path: Path) -> None:
    with worker(tmp_path, script={"step_seconds": 0.02}) as child:
        child.load()
        child.generate(tmp_path, ["a fox"], steps=10)
        child.generate(tmp_path, ["an owl"], batch="b2")
        child.send("cancel", batch="b2", jobs=["b2-0"])
        assert jobs_of(child.answers("done"), "image") == ["b1-0"]
        assert [kind for kind in types_of(child.answers("done")) if kind != "log"] == ["cancelled", "done"]


def test_the_heart_beats_while_a_batch_hangs(tmp_path: Path) -> None:
    with worker(tmp_path, script={"hang_on": "forever"}) as child:
        child.load()
        child.generate(tmp_path, ["a fox, forever"])
        beats = [child.answers("heartbeat")[-1] for _ in range(4)]
        assert [beat["phase"] for beat in beats] == ["encode", "denoise", "denoise", "denoise"]
        assert all(isinstance(beat["rss_bytes"], int) and beat["rss_bytes"] > 0 for beat in beats)


def test_each_phase_is_told_when_it_begins_and_before_its_answer_it_is_over(tmp_path: Path) -> None:
    """A heartbeat could not tell it later: an import or a native call may hold the interpreter until its end."""
    with worker(tmp_path) as child:
        child.load(until="hello")
        heard = child.answers("loaded", beats=True)
        child.generate(tmp_path, ["a fox", "an owl"])
        heard += child.answers("done", beats=True)
    told = [message.get("phase") or message["type"] for message in heard if message["type"] not in ("log", "progress")]
    once = [kind for kind, _ in itertools.groupby(told)]
    making = ["decode", "save", "image"]
    batch = ["encode", "denoise", *making, *making, "idle", "done"]
    assert once[once.index("import") :] == ["import", "load", "idle", "loaded", *batch]


@pytest.mark.parametrize(
    ("script", "code"), [({"crash_on": "boom"}, -signal.SIGSEGV), ({"exit_on": "boom"}, 70)], ids=["crash", "exit"]
)
def test_the_fake_dies_when_it_is_told_to(tmp_path: Path, script: dict[str, object], code: int) -> None:
    with worker(tmp_path, script=script) as child:
        child.load()
        child.generate(tmp_path, ["a fox"])
        child.answers("done")
        child.generate(tmp_path, ["boom"], batch="b2")
        assert child.process.wait(5) == code


def test_ctrl_c_does_not_reach_a_running_batch(tmp_path: Path) -> None:
    with worker(tmp_path, script={"step_seconds": 0.01}) as child:
        child.load()
        child.generate(tmp_path, ["a fox"], steps=30)
        child.answers("progress")
        child.process.send_signal(signal.SIGINT)
        assert jobs_of(child.answers("done"), "image") == ["b1-0"]


def test_end_of_input_ends_it_in_the_middle_of_a_batch(tmp_path: Path) -> None:
    with worker(tmp_path, script={"hang_on": "fox"}) as child:
        child.load()
        child.generate(tmp_path, ["a fox"])
        child.end_input()
        assert child.process.wait(5) == 4


def test_after_a_shutdown_the_batch_is_finished_while_the_input_is_open_and_given_up_when_it_ends(
    tmp_path: Path,
) -> None:
    with worker(tmp_path) as child:
        child.load()
        child.generate(tmp_path, ["a fox"])
        child.send("shutdown")
        assert jobs_of(child.answers("done"), "image") == ["b1-0"]
        assert child.process.wait(5) == 0
    with worker(tmp_path, script={"hang_on": "fox"}) as child:
        child.load()
        child.generate(tmp_path, ["a fox"])
        child.send("shutdown")
        child.end_input()
        assert child.process.wait(5) == 0


def test_a_reader_that_dies_takes_the_process_with_it() -> None:
    program = """
import io
from kilnwatt_worker.channel import Channel
from kilnwatt_worker.fake_engine import FakeEngine, Script
from kilnwatt_worker.loop import Loop

class Broken(io.BytesIO):
    def readline(self, size=-1):
        raise RuntimeError("nobody foresaw this")

Loop(Channel(io.BytesIO(), "l"), Broken(), "l", "fake", lambda: FakeEngine(Script())).run()
"""
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=PACKAGE_ROOT, capture_output=True, text=True, timeout=20
    )
    assert ended.returncode == EXIT_READER_DIED
    assert "nobody foresaw this" in ended.stderr


def test_it_ends_at_once_when_the_parent_that_it_was_told_of_is_gone(tmp_path: Path) -> None:
    with worker(tmp_path, env={"KW_PARENT": "1"}) as child:
        assert child.process.wait(5) == 3


def test_without_a_channel_it_says_how_to_start_it() -> None:
    command = [sys.executable, "-m", "kilnwatt_worker", "--engine", "fake", "--launch", "l"]
    ended = subprocess.run(
        command, env={"PYTHONPATH": str(PACKAGE_ROOT)}, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "descriptor 3 is not open" in ended.stderr


def test_it_dies_with_a_killed_parent_even_while_it_holds_the_interpreter(tmp_path: Path) -> None:
    """No thread of the worker can run, so none can see the end of its input: only the kernel can end it."""
    parent = subprocess.Popen(
        [sys.executable, "-m", "tests.frozen_parent", str(tmp_path)],
        cwd=PACKAGE_ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
    )
    assert parent.stdout is not None
    frozen = int(parent.stdout.readline())
    assert is_alive(frozen)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 5
    while is_alive(frozen) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not is_alive(frozen)


def is_alive(pid: int) -> bool:
    """A dead child that nobody has waited for yet counts as dead."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state not in ("Z", "X")


def test_a_misspelt_script_is_refused() -> None:
    with pytest.raises(Refused, match="KW_FAKE has the unknown field crash_at"):
        read_script('{"crash_at": "boom"}')
