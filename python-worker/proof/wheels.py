"""
Packages for a machine that reaches no index: fetched here as wheels in the versions that are pinned, and installed
there into a folder of their own, before the machine's own packages. No torch: that machine has its own.
"""

import hashlib
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Sequence
from pathlib import Path

WANTED = (
    *("diffusers", "transformers", "tokenizers", "safetensors", "accelerate", "peft", "huggingface_hub"),
    *("regex", "numpy", "pillow", "PyYAML", "packaging", "psutil", "tqdm", "filelock", "fsspec", "typing_extensions"),
    *("requests", "urllib3", "certifi", "charset-normalizer", "idna", "httpx", "httpcore", "h11", "anyio"),
    *("importlib_metadata", "zipp", "nvidia-ml-py", "torchao", "DeepCache"),
)
"""What the engine imports, less what comes with torch; and of the optional ones those that are small."""
OPTIONAL = ("bitsandbytes",)
"""43 MB. Without it all that is in NF4 (flux-12gb) is refused for want of a package, which proves nothing of it."""
PLATFORMS = (*(f"manylinux_2_{minor}_x86_64" for minor in (28, 27, 24, 17)), "manylinux2014_x86_64")
MOST_MEGABYTES = 60


def pins(worker: Path) -> dict[str, str]:
    """Versions by normalised name, from the requirements and the extras of `python-worker`."""
    lines = [
        line
        for file in ("requirements.txt", "requirements-nvidia.txt")
        for line in (worker / file).read_text().splitlines()
    ]
    project = tomllib.loads((worker / "pyproject.toml").read_text()).get("project", {})
    lines += [line for extra in project.get("optional-dependencies", {}).values() for line in extra]
    found = (re.match(r"([\w.-]+)==([^;\s]+)", line.strip()) for line in lines)
    return {normal(match[1]): match[2] for match in found if match}


def chosen(known: dict[str, str], names: Sequence[str]) -> tuple[list[str], list[str]]:
    """`name==version` for pip, and the names that nothing pins."""
    pinned = [f"{name}=={known[normal(name)]}" for name in names if normal(name) in known]
    return pinned, [name for name in names if normal(name) not in known]


def fetch(worker: Path, folder: Path, python: str, names: Sequence[str]) -> int:
    """The exit code. One call of pip a package, since a machine like this one need not have what that one has."""
    wanted, unpinned = chosen(pins(worker), names)
    if unpinned:
        print(f"left out, because no version of theirs is pinned: {', '.join(unpinned)}", file=sys.stderr)
    platforms = [word for platform in PLATFORMS for word in ("--platform", platform)]
    base = [sys.executable, "-m", "pip", "download", "-qq", "--disable-pip-version-check", "--no-deps"]
    base += ["--only-binary=:all:", "--python-version", python, "--implementation", "cp", *platforms]
    folder.mkdir(parents=True, exist_ok=True)
    if subprocess.run([*base, "-d", str(folder), *wanted], check=False).returncode:
        print("gpu-proof: pip could not fetch all of them; its own words are above", file=sys.stderr)
        return 6
    megabytes = sum(wheel.stat().st_size for wheel in folder.glob("*.whl")) / 1e6
    print(f"{folder}: {len(wanted)} wheels for Python {python}, {megabytes:.1f} MB")
    if megabytes > MOST_MEGABYTES:
        print(f"that is over {MOST_MEGABYTES} MB; name fewer with --packages", file=sys.stderr)
    return 0


def installed(folder: Path) -> Path:
    """A folder for PYTHONPATH with all the wheels of `folder`; made once. Raises ValueError where there are none."""
    wheels = sorted(folder.glob("*.whl"))
    if not wheels:
        raise ValueError(f"{folder} holds no wheels; fetch them with --fetch-wheels on a machine with a network")
    digest = hashlib.sha256("\n".join(wheel.name for wheel in wheels).encode()).hexdigest()[:12]
    target = Path(tempfile.gettempdir()) / f"kilnwatt-proof-{digest}"
    if not (target / ".whole").exists():
        command = [
            sys.executable,
            "-m",
            "pip",
            "install",
            "-qq",
            "--disable-pip-version-check",
            "--no-index",
            "--no-deps",
        ]
        command += ["--no-compile", "--no-cache-dir", "--upgrade", "--target", str(target), *map(str, wheels)]
        subprocess.run(command, check=True)
        (target / ".whole").touch()
    return target


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
