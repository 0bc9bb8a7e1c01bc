"""
The other side of `bench-overhead`: a loop as one would write it by hand with diffusers, same batches, same files.

glibc's allocator is set as the worker sets it, so that the ratio tells what the orchestrator costs and nothing else.

Prints one line of JSON: the time, in milliseconds since the epoch, at which the files of each batch were written.
"""

import json
import sys
import time
from pathlib import Path

import torch
from diffusers import DiffusionPipeline, DPMSolverMultistepScheduler

sys.path.insert(0, str(Path(__file__).parents[1] / "python-worker"))
from kilnwatt_worker.allocator import keep_freed_memory


def main(model: str, out: str, images: int, batch: int, steps: int) -> None:
    keep_freed_memory()
    pipe = DiffusionPipeline.from_pretrained(model, use_safetensors=True, safety_checker=None)
    pipe.scheduler = DPMSolverMultistepScheduler.from_config(pipe.scheduler.config, use_karras_sigmas=True)
    pipe.set_progress_bar_config(disable=True)
    folder = Path(out)
    folder.mkdir(parents=True)
    ends: list[float] = []
    for start in range(0, images, batch):
        seeds = range(start, min(start + batch, images))
        made = pipe(
            [f"picture number {seed}" for seed in seeds],
            num_inference_steps=steps,
            guidance_scale=7.0,
            generator=[torch.Generator().manual_seed(seed) for seed in seeds],
        )
        for seed, picture in zip(seeds, made.images, strict=True):
            picture.save(folder / f"{seed:05}.png", compress_level=COMPRESS_LEVEL)
        ends.append(time.time() * 1000)
    print(json.dumps(ends))


COMPRESS_LEVEL = 4
"""As the worker writes them."""

if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], *(int(word) for word in sys.argv[3:6]))
