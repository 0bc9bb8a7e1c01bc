"""What the fake engine does once a prompt, for whoever strikes at kilnwatt over and over."""

import json
import os
import signal
from pathlib import Path

import pytest

from tests.test_loop import types_of
from tests.worker_process import worker


def test_with_a_folder_of_marks_a_prompt_misbehaves_the_first_time_only_also_over_a_restart(tmp_path: Path) -> None:
    script: dict[str, object] = {"exit_on": "leaves", "once_dir": str(tmp_path / "once")}
    with worker(tmp_path, script=script) as child:
        child.load()
        child.generate(tmp_path, ["a fox leaves"])
        assert child.process.wait(5) == 70
    with worker(tmp_path, script=script) as child:
        child.load()
        child.generate(tmp_path, ["a fox leaves"])
        assert "image" in types_of(child.answers("done"))
        child.generate(tmp_path, ["another fox leaves"], batch="b2")
        assert child.process.wait(5) == 70


def test_poison_stays_poison(tmp_path: Path) -> None:
    script: dict[str, object] = {"crash_on": "boom", "once_dir": str(tmp_path / "once")}
    for _ in range(2):
        with worker(tmp_path, script=script) as child:
            child.load()
            child.generate(tmp_path, ["boom"])
            assert child.process.wait(5) == -signal.SIGSEGV


def test_half_a_message_is_joined_by_the_next_one(tmp_path: Path) -> None:
    with worker(tmp_path, script={"truncate_on": "cut"}) as child:
        child.load()
        child.generate(tmp_path, ["a cut fox"], steps=1)
        with pytest.raises(json.JSONDecodeError) as broken:
            child.answers("done")
        assert broken.value.doc.startswith('{"v":1,"type":"image","laun{')


def test_garbage_does_not_reach_the_channel(tmp_path: Path) -> None:
    with worker(tmp_path, script={"garbage_on": "babble"}) as child:
        child.load()
        child.generate(tmp_path, ["babble"], steps=1)
        assert "image" in types_of(child.answers("done"))
        assert os.path.getsize(child.log) >= 256 * 1024


def test_a_slow_disk_takes_its_time_for_each_picture(tmp_path: Path) -> None:
    with worker(tmp_path, script={"slow_disk_seconds": 0.05}) as child:
        child.load()
        child.generate(tmp_path, ["a fox", "an owl"], steps=1)
        done = child.answers("done")[-1]
        assert isinstance(done["phases"], dict)
        assert done["phases"]["save"] >= 0.1
