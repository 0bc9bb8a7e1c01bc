"""A case in one line."""

from kilnwatt_worker.parts import Memory, StepSeconds, Work
from proof.running import Case


def told(case: Case) -> str:
    head = f"{case['visit']}: {case['outcome']}"
    if "reason" in case:
        return f"{head} ({case['reason']})"
    runs = case["runs"]
    first = [run for run in runs if isinstance(run, dict) and run["role"] == "warm"] if isinstance(runs, list) else []
    return "; ".join([head, *(_run(run) for run in first)])


def _run(run: Case) -> str:
    words = [f"x{run['batch']} {run['steps']} steps {_number(run['seconds_per_image'])} s/image"]
    steps, work, memory = run.get("step_seconds"), run.get("work"), run.get("memory")
    if isinstance(steps, StepSeconds):
        words.append(f"{steps.median * 1000:.1f} ms/step")
    if isinstance(work, Work) and work.mfu is not None:
        words.append(f"MFU {work.mfu:.1%}")
    if isinstance(memory, Memory) and memory.peak_allocated_bytes is not None:
        words.append(f"{memory.peak_allocated_bytes / 1e9:.2f} GB")
    if isinstance(psnr := run.get("psnr_to_plain_db"), float):
        words.append(f"{psnr:.1f} dB")
    return ", ".join(words)


def _number(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else "?"
