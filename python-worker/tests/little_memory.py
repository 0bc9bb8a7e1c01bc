"""
Run as a program: makes one picture of 768x768, with as little memory as the environment says, with a VAE that tiles and
then with one that does not. Prints the size of each, or the error.

oneDNN may never recover from an allocation that failed: a process in which memory ran out is of no use to other tests.
"""

import json
import sys
from dataclasses import replace
from pathlib import Path

from kilnwatt_worker.diffusers_engine.engine import DiffusersEngine
from kilnwatt_worker.errors import WorkerError
from tests.samples import PARAMS, PRESET, Recorder, generate_of, item, load_of

model, out = sys.argv[1:]
engine = DiffusersEngine()
for tiling in (True, False):
    engine.load(load_of(Path(model), replace(PRESET, vae_tiling=tiling)), lambda _level, _message: None)
    generate = generate_of([item(0, Path(out, str(tiling)))], replace(PARAMS, width=768, height=768, steps=1))
    recorder = Recorder(generate)
    try:
        engine.generate(generate, recorder)
        print(json.dumps(recorder.images["job-0"]))
    except WorkerError as error:
        print(json.dumps({"code": error.code, "retryable": error.retryable, "message": str(error)}))
