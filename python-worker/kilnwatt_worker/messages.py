"""
Every message between the orchestrator and this process: the closed set, one frozen class each.

A message on the wire is its class's fields plus the envelope `v, type, launch, seq`, as one line of JSON.
Field names here are the names on the wire. The golden samples in `test/fixtures/messages` pin the shapes.
"""

import dataclasses
import json
from dataclasses import dataclass
from typing import ClassVar, TypeAlias

from kilnwatt_worker.energy import Energy
from kilnwatt_worker.parts import (
    Count,
    Downgrade,
    Item,
    Level,
    Memory,
    ModelRef,
    Params,
    Phase,
    PhaseSeconds,
    Pixels,
    Positive,
    Preset,
    Settings,
    StepSeconds,
    Work,
)
from kilnwatt_worker.strict import MAX_LINE_BYTES, Refused, build, read_json

VERSION = 1


# ------------------------------------------------------------------------------- to this process


@dataclass(frozen=True, slots=True)
class Load:
    """Answered by `loaded`, or by `failure` without batch and job."""

    type: ClassVar[str] = "load"
    engine: str
    device: str
    model: ModelRef
    preset: Preset


@dataclass(frozen=True, slots=True)
class Generate:
    """Answered by one `image` or `failure` an item (or its name in `cancelled`), then by `done`."""

    type: ClassVar[str] = "generate"
    engine: str
    batch: str
    params: Params
    items: tuple[Item, ...]

    def __post_init__(self) -> None:
        if not self.items or len({item.job for item in self.items}) != len(self.items):
            raise Refused("message.items must hold at least one item, each with a job of its own")


@dataclass(frozen=True, slots=True)
class Cancel:
    """Gives jobs of a batch up that have no answer yet. Takes effect between two denoise steps."""

    type: ClassVar[str] = "cancel"
    batch: str
    jobs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Unload:
    """Frees the model. Answered by `unloaded`, also when none was loaded."""

    type: ClassVar[str] = "unload"


@dataclass(frozen=True, slots=True)
class Shutdown:
    """
    Ends the process with 0: after what was asked before it, or as soon as the input ends as well.

    Who wants the rest of a batch leaves the input open; who closes it gives the batch up.
    """

    type: ClassVar[str] = "shutdown"


# ----------------------------------------------------------------------------- from this process


@dataclass(frozen=True, slots=True)
class Hello:
    """The first message; sent before anything heavy is imported."""

    type: ClassVar[str] = "hello"
    pid: Count
    engine_kind: str
    versions: dict[str, str]


@dataclass(frozen=True, slots=True)
class Loaded:
    """`settings` are those in effect, read back from the loaded modules."""

    type: ClassVar[str] = "loaded"
    engine: str
    settings: Settings
    downgrades: tuple[Downgrade, ...]
    weights: dict[str, Count]
    """Bytes by part of the pipeline, wherever they are kept."""
    versions: dict[str, str]
    seconds: Positive
    memory: Memory
    energy: Energy


@dataclass(frozen=True, slots=True)
class Progress:
    """Steps done of the phase; at most five a second."""

    type: ClassVar[str] = "progress"
    batch: str
    phase: Phase
    step: Count
    steps: Count


@dataclass(frozen=True, slots=True)
class Image:
    """The file is complete and closed; it carries no metadata yet."""

    type: ClassVar[str] = "image"
    batch: str
    job: str
    out: str
    width: Pixels
    height: Pixels
    bytes: Count


@dataclass(frozen=True, slots=True)
class Failure:
    """Of one item; or, with neither batch nor job, of the load."""

    type: ClassVar[str] = "failure"
    batch: str | None
    job: str | None
    code: str
    message: str
    retryable: bool
    energy: Energy | None
    """What the load took until it failed. Null of an item, whose batch tells it, and of a load that did not begin."""


@dataclass(frozen=True, slots=True)
class Done:
    """The last word on a batch: every item has had its answer."""

    type: ClassVar[str] = "done"
    batch: str
    seconds: Positive
    phases: PhaseSeconds
    steps: StepSeconds | None
    """Null where no step was finished."""
    work: Work | None
    """Null where nothing was denoised."""
    memory: Memory
    energy: Energy


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The answer of jobs that were given up, as soon as the engine leaves them out; `done` still follows."""

    type: ClassVar[str] = "cancelled"
    batch: str
    jobs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Unloaded:
    type: ClassVar[str] = "unloaded"
    memory: Memory


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """
    The interpreter is alive. It says nothing about progress.

    One comes every half second, and one at the beginning of each phase, which may hold the interpreter from then on.
    """

    type: ClassVar[str] = "heartbeat"
    phase: Phase
    rss_bytes: Count


@dataclass(frozen=True, slots=True)
class Log:
    """A sentence for the user's log that belongs to no answer."""

    type: ClassVar[str] = "log"
    level: Level
    message: str


Request: TypeAlias = Load | Generate | Cancel | Unload | Shutdown
Answer: TypeAlias = Hello | Loaded | Progress | Image | Failure | Done | Cancelled | Unloaded | Heartbeat | Log
Message: TypeAlias = Request | Answer

REQUESTS: dict[str, type[Request]] = {kind.type: kind for kind in (Load, Generate, Cancel, Unload, Shutdown)}
ANSWERS: dict[str, type[Answer]] = {
    kind.type: kind for kind in (Hello, Loaded, Progress, Image, Failure, Done, Cancelled, Unloaded, Heartbeat, Log)
}


@dataclass(frozen=True, slots=True)
class Envelope:
    launch: str
    seq: int
    body: Message


def parse(raw: object) -> Envelope:
    """The message that a JSON value is. Raises Refused with the field that is wrong."""
    if not isinstance(raw, dict):
        raise Refused("a message must be an object")
    rest = dict(raw)
    version, kind, launch, seq = (rest.pop(name, None) for name in ("v", "type", "launch", "seq"))
    if version != VERSION:
        raise Refused(f"message.v must be {VERSION}")
    if not isinstance(launch, str) or not isinstance(seq, int) or isinstance(seq, bool) or seq < 0:
        raise Refused("message.launch must be a string and message.seq a whole number")
    known: dict[str, type[Message]] = {**REQUESTS, **ANSWERS}
    if not isinstance(kind, str) or kind not in known:
        raise Refused(f"message.type {kind!r} is not one of ours")
    return Envelope(launch, seq, build(known[kind], rest))


def to_wire(envelope: Envelope) -> dict[str, object]:
    head = {"v": VERSION, "type": envelope.body.type, "launch": envelope.launch, "seq": envelope.seq}
    return {**head, **dataclasses.asdict(envelope.body)}


def encode(envelope: Envelope) -> bytes:
    """One line. NaN and Infinity raise, and so does a line that the other side would refuse."""
    line = json.dumps(to_wire(envelope), allow_nan=False, separators=(",", ":")).encode()
    if len(line) > MAX_LINE_BYTES:
        raise Refused(f"the {envelope.body.type} message is longer than {MAX_LINE_BYTES} bytes")
    return line + b"\n"


def decode(line: bytes | str) -> Envelope:
    return parse(read_json(line))
