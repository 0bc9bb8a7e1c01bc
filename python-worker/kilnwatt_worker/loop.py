"""
The life of the process after its channel is claimed: one thread reads, one beats, this one works.

Requests are worked off in order, one at a time; only `cancel` overtakes. A bad line is answered or
logged and never ends the process. End of input does: the orchestrator is gone.
"""

import os
import platform
import queue
import threading
import time
import traceback
from collections.abc import Callable
from typing import BinaryIO

from kilnwatt_worker import __version__, resident
from kilnwatt_worker.batch_report import BatchReport
from kilnwatt_worker.cancellations import Cancellations
from kilnwatt_worker.channel import Channel, lines
from kilnwatt_worker.engine import Engine, Usage, Window
from kilnwatt_worker.errors import DEVICE_LOST, Stopped, WorkerError, internal
from kilnwatt_worker.messages import (
    Cancel,
    Done,
    Failure,
    Generate,
    Heartbeat,
    Hello,
    Load,
    Loaded,
    Log,
    Request,
    Shutdown,
    Unload,
    Unloaded,
    parse,
)
from kilnwatt_worker.parts import Level, Phase
from kilnwatt_worker.salvage import salvage
from kilnwatt_worker.strict import Refused, read_json

HEARTBEAT_SECONDS = 0.5
# Of the process; 0 is the end that `shutdown` asked for.
EXIT_ORPHANED = 4
"""The orchestrator's end of the line is closed."""
EXIT_READER_DIED = 5
"""A defect of ours: a line that neither could be read nor refused. Requests would be lost without a word."""
EXIT_DEVICE_LOST = 6
"""Only another process can use the device again."""


class Loop:
    def __init__(
        self,
        channel: Channel,
        requests: BinaryIO,
        launch: str,
        kind: str,
        make_engine: Callable[[], Engine],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._channel = channel
        self._requests = requests
        self._launch = launch
        self._kind = kind
        self._make_engine = make_engine
        self._clock = clock
        self._inbox: queue.SimpleQueue[Request] = queue.SimpleQueue()
        self._cancellations = Cancellations()
        self._asked_to_leave = False
        self._phase: Phase = "idle"
        self._beating = threading.Lock()
        self._engine: Engine | None = None
        self._loaded: Load | None = None

    def run(self) -> None:
        """Returns when `shutdown` has its turn. Ends the process when the device is lost."""
        versions = {"python": platform.python_version(), "kilnwatt_worker": __version__}
        self._channel.send(Hello(os.getpid(), self._kind, versions))
        threading.Thread(target=self._read, name="reader", daemon=True).start()
        threading.Thread(target=self._beat, name="heartbeat", daemon=True).start()
        while not isinstance(request := self._inbox.get(), Shutdown):
            self._work(request)

    def _work(self, request: Request) -> None:
        if isinstance(request, Load):
            self._load(request)
        elif isinstance(request, Generate):
            self._generate(request)
        elif isinstance(request, Unload):
            self._unload()

    def _load(self, load: Load) -> None:
        started = self._clock()
        self._loaded = None
        spent: Usage | WorkerError | None = None
        try:
            engine = self._engine_now()
            self._enter("load")
            window = engine.window(load.device)
            try:
                facts = engine.load(load, self.log)
            except Exception:
                spent = self._closed(window)
                raise
            usage = window.close()
        except Exception as error:
            known = internal(error)
            self._enter("idle")
            energy = spent.energy if isinstance(spent, Usage) else None
            self._channel.send(Failure(None, None, known.code, known.message, known.retryable, energy))
            leave_if_lost(known)
            leave_if_lost(spent if isinstance(spent, WorkerError) else None)
        else:
            self._loaded = load
            self._enter("idle")
            seconds = self._clock() - started
            self._channel.send(
                Loaded(
                    load.engine,
                    facts.settings,
                    facts.downgrades,
                    facts.weights,
                    facts.versions,
                    seconds,
                    usage.memory,
                    usage.energy,
                )
            )

    def _generate(self, generate: Generate) -> None:
        started = self._clock()
        report = BatchReport(generate, self._channel, self._cancellations, self._enter, self._clock)
        usage = Usage(resident.host_memory(), resident.NO_ENERGY)
        failed: WorkerError | None = None
        spent: Usage | WorkerError = usage
        try:
            engine, load = self._engine_now(), self._loaded
            if load is None or load.engine != generate.engine:
                raise WorkerError("not_loaded", f"the engine {generate.engine} is not loaded", retryable=True)
            window = engine.window(load.device)
            try:
                engine.generate(generate, report)
            except Exception:
                spent = self._closed(window)
                raise
            spent = window.close()
        except Stopped:
            self.log("debug", f"batch {generate.batch} was stopped between two steps")
        except Exception as error:
            failed = internal(error)
        phases = report.settle(failed)
        self._cancellations.closed(generate.batch)
        seconds = self._clock() - started
        usage = spent if isinstance(spent, Usage) else usage
        self._channel.send(Done(generate.batch, seconds, phases, report.steps, report.work, usage.memory, usage.energy))
        leave_if_lost(failed)
        leave_if_lost(spent if isinstance(spent, WorkerError) else None)

    def _closed(self, window: Window) -> Usage | WorkerError:
        """After work that failed: why a meter could not be read must not stand in for why the work failed."""
        try:
            return window.close()
        except Exception as error:
            known = internal(error)
            self.log("warning", f"what the work took that failed could not be read: {known.message}")
            return known

    def _unload(self) -> None:
        self._loaded = None
        if self._engine is not None:
            self._engine.unload()
        self._channel.send(Unloaded(resident.host_memory()))

    def _engine_now(self) -> Engine:
        if self._engine is None:
            self._enter("import")
            self._engine = self._make_engine()
        return self._engine

    def _enter(self, phase: Phase) -> None:
        """Told at once, because no heartbeat can tell it while the phase holds the interpreter."""
        with self._beating:
            if phase != self._phase:
                self._phase = phase
                self._send_heartbeat()

    def log(self, level: Level, message: str) -> None:
        self._channel.send(Log(level, message))

    def _beat(self) -> None:
        while True:
            time.sleep(HEARTBEAT_SECONDS)
            try:
                with self._beating:
                    self._send_heartbeat()
            except OSError:  # nobody reads the channel any more
                os._exit(EXIT_ORPHANED)

    def _send_heartbeat(self) -> None:
        self._channel.send(Heartbeat(self._phase, resident.rss_bytes()))

    def _read(self) -> None:
        """Whatever ends this thread ends the process: without it nothing is worked off and nothing is cancelled."""
        code = EXIT_READER_DIED
        try:
            for line in lines(self._requests, lambda refused: self.log("error", f"a request was refused: {refused}")):
                self._take(line)
            # Nobody is left to answer, so what still runs is given up.
            code = 0 if self._asked_to_leave else EXIT_ORPHANED
        except Exception:
            traceback.print_exc()
        finally:
            os._exit(code)

    def _take(self, line: bytes) -> None:
        raw: object = None
        try:
            raw = read_json(line)
            envelope = parse(raw)
            if envelope.launch != self._launch:
                raise Refused(f"message.launch is {envelope.launch}, this process is {self._launch}")
        except Refused as refused:
            self._refuse(raw, refused)
            return
        body = envelope.body
        if isinstance(body, Cancel):
            self._cancel(body)
        elif isinstance(body, Load | Generate | Unload | Shutdown):
            if isinstance(body, Generate):
                self._cancellations.opened(body.batch)
            self._asked_to_leave = self._asked_to_leave or isinstance(body, Shutdown)
            self._inbox.put(body)
        else:
            self.log("error", f"a request was refused: {body.type} is a message of the worker's own")

    def _cancel(self, cancel: Cancel) -> None:
        if not self._cancellations.cancel(cancel.batch, cancel.jobs):
            self.log("debug", f"batch {cancel.batch} is not open; nothing to cancel")

    def _refuse(self, raw: object, refused: Refused) -> None:
        """Whoever waits for an answer gets one, as far as the broken line says who that is."""
        self.log("error", f"a request was refused: {refused}")
        for answer in salvage(raw, str(refused)):
            self._channel.send(answer)


def leave_if_lost(error: WorkerError | None) -> None:
    """At once, because a normal end of the interpreter would call the device once more."""
    if error is not None and error.code == DEVICE_LOST:
        os._exit(EXIT_DEVICE_LOST)
