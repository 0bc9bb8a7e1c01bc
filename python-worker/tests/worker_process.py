"""The worker as its supervisor starts it: a child with a channel on descriptor 3."""

import dataclasses
import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kilnwatt_worker.parts import Preset

PACKAGE_ROOT = Path(__file__).parents[1]
LAUNCH = "launch-1"

# The shell gives the child descriptor 3 and then becomes it, so that the parent check still holds.
START = 'exec 3>&"$KW_CHANNEL"; exec "$0" -u -m kilnwatt_worker --engine "$1" --launch "$2"'


class WorkerProcess:
    def __init__(self, engine: str, script: dict[str, object], env: dict[str, str], log: Path) -> None:
        reading, writing = os.pipe()
        channel = fcntl.fcntl(writing, fcntl.F_DUPFD, 9)
        os.close(writing)
        self._seq = 0
        self.log = log
        with log.open("wb") as log_file:
            self.process = subprocess.Popen(
                ["/bin/bash", "-c", START, sys.executable, engine, LAUNCH],
                stdin=subprocess.PIPE,
                stdout=log_file,
                stderr=log_file,
                pass_fds=(channel,),
                env={
                    **os.environ,
                    "PYTHONPATH": str(PACKAGE_ROOT),
                    "KW_CHANNEL": str(channel),
                    "KW_PARENT": str(os.getpid()),
                    "KW_FAKE": json.dumps(script),
                    **env,
                },
            )
        os.close(channel)
        self._answers = os.fdopen(reading, "rb")

    def send(self, kind: str, **fields: object) -> None:
        self._seq += 1
        message = {"v": 1, "type": kind, "launch": LAUNCH, "seq": self._seq, **fields}
        self.send_raw(json.dumps(message).encode() + b"\n")

    def send_raw(self, line: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line)
        self.process.stdin.flush()

    def end_input(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()

    def answers(self, until: str, *, beats: bool = False) -> list[dict[str, object]]:
        """Everything up to and with the first message of that type, heartbeats left out unless they are asked for."""
        heard = []
        for line in self._answers:
            message = json.loads(line)
            if message["type"] != "heartbeat" or beats or until == "heartbeat":
                heard.append(message)
            if message["type"] == until:
                return heard
        raise AssertionError(f"the worker ended without {until}: {heard} {self.log.read_text(errors='replace')}")

    def load(self, path: str = "/models/none", until: str = "loaded") -> list[dict[str, object]]:
        preset = dataclasses.asdict(Preset("plain"))
        self.send("load", engine="e1", device="cpu", model={"path": path, "family": "other"}, preset=preset)
        return self.answers(until)

    def generate(self, folder: Path, prompts: list[str], batch: str = "b1", **changed: object) -> None:
        params: dict[str, object] = {
            "width": 64,
            "height": 64,
            "steps": 4,
            "guidance": 5,
            "distilled_guidance": None,
            "scheduler": "dpmpp_2m",
            "schedule": "karras",
            "clip_skip": 0,
            "loras": [],
            "format": "png",
        }
        items = [
            {
                "job": f"{batch}-{number}",
                "prompt": prompt,
                "negative_prompt": "",
                "seed": number,
                "out": str(folder / f"{batch}-{number}.part"),
            }
            for number, prompt in enumerate(prompts)
        ]
        self.send("generate", engine="e1", batch=batch, params={**params, **changed}, items=items)

    def close(self) -> None:
        if self.process.stdin is not None and not self.process.stdin.closed:
            self.process.stdin.close()
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._answers.close()


@contextmanager
def worker(
    tmp_path: Path, engine: str = "fake", script: dict[str, object] | None = None, env: dict[str, str] | None = None
) -> Iterator[WorkerProcess]:
    """A worker that has said hello."""
    child = WorkerProcess(engine, script or {}, env or {}, tmp_path / "worker.log")
    try:
        yield child
    finally:
        child.close()
