"""
`python -m kilnwatt_worker.fetch ORG/NAME [--revision R]`: the local folder of a model of the Hugging Face hub.

Prints one line of JSON, `{"path": …}`. A model that is complete in the hub's cache is not asked for again.
Never fetches pickles, nor anything that the pipeline does not load. Where it fails, the last line on standard error
is one sentence, and the exit code says why: 1 the disk, 2 an unsafe model, 3 the hub, the network or the name.
"""

import argparse
import errno
import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import httpx
from huggingface_hub import (
    HfApi,
    get_cached_repo_tree,
    hf_hub_download,
    snapshot_download,
    try_to_load_from_cache,
)
from huggingface_hub.constants import HF_HUB_CACHE
from huggingface_hub.errors import (
    CachedRepoTreeNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from kilnwatt_worker.errors import WorkerError
from kilnwatt_worker.model_folder import INDEX, LEFT_OUT, PICKLES, VARIANT, judge
from kilnwatt_worker.sentences import first_line

EXIT_DISK = 1
EXIT_UNSAFE = 2
EXIT_UNREACHABLE = 3
DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
NOT_WRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST, errno.EFBIG, errno.EIO)
LOADED = (".json", ".safetensors", ".txt", ".model")


def main() -> int:
    options = argparse.ArgumentParser(prog="kilnwatt_worker.fetch")
    options.add_argument("name", metavar="ORG/NAME")
    options.add_argument("--revision", default="main")
    asked = options.parse_args()
    try:
        path = cached(asked.name, asked.revision) or download(asked.name, asked.revision)
    except WorkerError as error:
        print(error.message, file=sys.stderr)
        return EXIT_UNSAFE
    # RuntimeError: the hub's own transfer library has no other.
    except (HfHubHTTPError, HFValidationError, httpx.HTTPError, OSError, RuntimeError, ValueError) as error:
        code, sentence = told(asked.name, asked.revision, error)
        print(sentence, file=sys.stderr)
        return code
    print(json.dumps({"path": path}))
    return 0


def cached(name: str, revision: str) -> str | None:
    """None where the cache has nothing of it, or not all that is loaded."""
    found = try_to_load_from_cache(name, INDEX, revision=revision)
    if not isinstance(found, str):
        return None
    folder = Path(found).parent
    try:
        judge(str(folder))
        listed = [file.path for file in get_cached_repo_tree(name, revision=revision)]
    except CachedRepoTreeNotFoundError:  # put there file by file, by a program that knew what it needs
        return str(folder)
    except WorkerError:
        return None
    return str(folder) if _is_whole(folder, listed, _index(found)) else None


def download(name: str, revision: str) -> str:
    """
    Files that are on the disk already are not fetched again; an interrupted fetch goes on.

    Raises WorkerError `model_unsafe` before the first weights are fetched.
    """
    print(f"fetching {name} ({revision}) from the hub", file=sys.stderr)
    found = HfApi().list_repo_files(name, revision=revision)
    index = _index(hf_hub_download(name, INDEX, revision=revision)) if INDEX in found else {}
    refuse_pickles(name, found, index)
    return snapshot_download(name, revision=revision, allow_patterns=choose(found, index))


def choose(files: Iterable[str], index: Mapping[str, object]) -> list[str]:
    """What the pipeline loads: its parts' files, and the fp16 weights of a part only where it has no others."""
    chosen = [INDEX]
    for part in _files_of_parts(files, index):
        chosen += part.settings + (part.plain or part.half)
    return chosen


def refuse_pickles(name: str, files: Sequence[str], index: Mapping[str, object]) -> None:
    """Raises WorkerError `model_unsafe` where a part, or a model without parts, has pickle weights only."""
    chosen = choose(files, index)
    for part in sorted(_parts(index)) or ["."]:
        safe = [file for file in (chosen if index else files) if _is_in(file, part) and ".safetensors" in file]
        if not safe and any(_is_in(file, part) and file.endswith(PICKLES) for file in files):
            where = f"{name} has" if part == "." else f"the part {part} of {name} has"
            raise WorkerError(
                "model_unsafe",
                f"{where} pickle weights only, which can run code when they are read; "
                "take a model that comes as safetensors",
            )


def told(name: str, revision: str, error: Exception) -> tuple[int, str]:
    """Exit code and sentence."""
    reason = first_line(error)
    number = error.errno if isinstance(error, OSError) else None
    if number in DISK_FULL or any(os.strerror(full) in reason for full in DISK_FULL):
        return EXIT_DISK, f"no space is left for the model {name} in {HF_HUB_CACHE}; free some or set HF_HOME"
    if number in NOT_WRITABLE:
        return (
            EXIT_DISK,
            f"the model {name} cannot be written to {HF_HUB_CACHE} ({reason}); set HF_HOME to another folder",
        )
    return EXIT_UNREACHABLE, _of_the_hub(name, revision, error, reason)


def _of_the_hub(name: str, revision: str, error: Exception, reason: str) -> str:
    if isinstance(error, GatedRepoError):
        return f"the model {name} is open only to those who accepted its terms; do so on its page and set HF_TOKEN"
    if isinstance(error, RepositoryNotFoundError):
        return f"the hub has no model {name}, or shows it only with a token; check the name or set HF_TOKEN"
    if isinstance(error, RevisionNotFoundError):
        return f"the model {name} has no revision {revision}"
    if isinstance(error, HFValidationError):
        return f"{name} is no hub id; it looks like org/name"
    return f"the model {name} is not on this disk and the hub cannot be reached ({reason}); check the network"


@dataclass(frozen=True, slots=True)
class _PartFiles:
    """Of the weights one kind is loaded, `plain` or `half`."""

    settings: list[str]
    plain: list[str]
    half: list[str]


def _files_of_parts(files: Iterable[str], index: Mapping[str, object]) -> list[_PartFiles]:
    parts = _parts(index)
    by_part: dict[str, list[str]] = {}
    for file in files:
        path = PurePosixPath(file)
        if len(path.parts) == 2 and path.parts[0] in parts and path.suffix in LOADED:
            by_part.setdefault(path.parts[0], []).append(file)
    return [
        _PartFiles(
            settings=[name for name in names if ".safetensors" not in name],
            plain=[name for name in names if ".safetensors" in name and not _is_variant(name)],
            half=[name for name in names if ".safetensors" in name and f".{VARIANT}" in name],
        )
        for names in by_part.values()
    ]


def _is_whole(folder: Path, listed: Iterable[str], index: Mapping[str, object]) -> bool:
    """Also with fp16 weights that another program chose; but where a plain file is there, that kind is loaded."""

    def here(file: str) -> bool:
        return (folder / file).is_file()

    return all(
        all(map(here, part.settings + (part.half if part.half and not any(map(here, part.plain)) else part.plain)))
        for part in _files_of_parts(listed, index)
    )


def _index(file: str) -> dict[str, object]:
    raw: object = json.loads(Path(file).read_text(encoding="utf-8"))
    return raw if isinstance(raw, dict) else {}


def _parts(index: Mapping[str, object]) -> set[str]:
    """A part that the pipeline goes without is there as a pair of nulls."""
    present = {part for part, value in index.items() if isinstance(value, list) and all(value)}
    return present - {*LEFT_OUT}


def _is_in(file: str, part: str) -> bool:
    return PurePosixPath(file).parent == PurePosixPath(part)


def _is_variant(name: str) -> bool:
    """`model.fp16.safetensors`, `model.non_ema.safetensors`, `model.fp16-00001-of-00002.safetensors`."""
    stem = PurePosixPath(name).name.removesuffix(".json").removesuffix(".index").removesuffix(".safetensors")
    return "." in stem


if __name__ == "__main__":
    sys.exit(main())
