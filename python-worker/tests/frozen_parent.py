"""Run as a program: a parent whose worker holds the interpreter. Prints the worker's pid and waits to be killed."""

import signal
import sys
import time
from pathlib import Path

from tests.worker_process import worker

with worker(Path(sys.argv[1]), script={"freeze_on": "freeze"}) as child:
    child.load()
    child.generate(Path(sys.argv[1]), ["freeze"])
    while b"frozen" not in child.log.read_bytes():
        time.sleep(0.01)
    print(child.process.pid, flush=True)
    signal.pause()
