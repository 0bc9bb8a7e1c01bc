"""`python -m kilnwatt_worker --engine diffusers|fake --launch ID`: started by the orchestrator, not by people."""

import argparse
import ctypes
import os
import signal
import sys

from kilnwatt_worker.allocator import keep_freed_memory
from kilnwatt_worker.channel import claim
from kilnwatt_worker.engine import Engine
from kilnwatt_worker.loop import Loop

PR_SET_PDEATHSIG = 1
EXIT_ALREADY_ORPHANED = 3
EXIT_NO_CHANNEL = 2


def main() -> int:
    options = argparse.ArgumentParser(prog="kilnwatt_worker")
    options.add_argument("--engine", choices=tuple(ENGINES), required=True)
    options.add_argument("--launch", required=True, help="id that every message of this process carries")
    chosen = options.parse_args()
    die_with_parent()
    keep_freed_memory()
    # Ctrl-C goes to the whole terminal; the orchestrator decides what it means for a running batch.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        channel, requests = claim(chosen.launch)
    except OSError:
        print("kilnwatt_worker: descriptor 3 is not open; start it through kilnwatt", file=sys.stderr)
        return EXIT_NO_CHANNEL
    Loop(channel, requests, chosen.launch, chosen.engine, ENGINES[chosen.engine]).run()
    return 0


def die_with_parent() -> None:
    """SIGKILL when the parent ends, even while native code holds the interpreter. `KW_PARENT` closes the gap before."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    parent = os.environ.get("KW_PARENT")
    if parent is not None and os.getppid() != int(parent):
        os._exit(EXIT_ALREADY_ORPHANED)


def diffusers_engine() -> Engine:
    # Read when the libraries are imported: models come from folders, and their remarks are not for our users.
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("DIFFUSERS_VERBOSITY", "error")
    # Imported at the first load, because it takes seconds and `hello` must not wait for it.
    from kilnwatt_worker.diffusers_engine.engine import DiffusersEngine

    return DiffusersEngine()


def fake_engine() -> Engine:
    from kilnwatt_worker.fake_engine import FakeEngine, read_script

    return FakeEngine(read_script(os.environ.get("KW_FAKE", "{}")))


ENGINES = {"diffusers": diffusers_engine, "fake": fake_engine}

if __name__ == "__main__":
    sys.exit(main())
