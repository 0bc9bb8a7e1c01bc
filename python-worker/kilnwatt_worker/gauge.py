"""
`python -m kilnwatt_worker.gauge [--interval-ms 1000] [--readings N]`: what this host's meters count, as JSON lines.

For each card `{"t": ms, "src": "nvml", "uuid": …, "mj": …, "mw": …, "processes": [{"pid": …, "share": …}]}`, and
`{"t": ms, "src": "rapl", "mj": …}`, the processors' energy since the start, where it can be read. `t` is Unix time;
what a meter does not tell is null. A card or a driver that comes later is read from then on. Ends with its input or on
SIGTERM, or after N readings. Exits with 3 where there is nothing to be read, and with 4 where only another process may
read the cards, because the driver may be another one now and this process has the old one's library: when none of them
answers any more, or none has answered yet and there is nothing else to be read.
"""

import argparse
import json
import os
import select
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from types import FrameType

from kilnwatt_worker.cards import CardReading, Host, NoCards, Watch
from kilnwatt_worker.rapl import Package, PackageSum, counters_of, packages_in, powercap

EXIT_NOTHING = 3
EXIT_CARDS_GONE = 4
SILENT_READINGS = 5
LOOK_AGAIN_READINGS = 5
"""For cards that are missing."""


def main() -> int:
    options = argparse.ArgumentParser(prog="kilnwatt_worker.gauge")
    options.add_argument("--interval-ms", type=int, default=1000)
    options.add_argument("--readings", type=int, help="ends after so many, whatever its input does")
    asked = options.parse_args()
    signal.signal(signal.SIGTERM, _leave)
    # Ctrl-C goes to the whole terminal; who reads this ends it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    host = Host()
    try:
        host.look()
    except NoCards as why:
        print(f"kilnwatt_worker.gauge: {why}", file=sys.stderr)
    packages = packages_in(powercap())
    if not host.cards and not packages:
        return EXIT_NOTHING if host.count == 0 else EXIT_CARDS_GONE
    return _tell(host, packages, asked.interval_ms / 1000, asked.readings)


def _tell(host: Host, packages: tuple[Package, ...], seconds: float, count: int | None) -> int:
    silence = Silence()
    for lines in readings(host, packages, seconds, count):
        for line in lines:
            print(json.dumps(line))
        sys.stdout.flush()
        if silence.lasts(lines):
            print("no card has answered for a while", file=sys.stderr)
            return EXIT_CARDS_GONE
        if host.is_outdated:
            print("the driver has come as another one", file=sys.stderr)
            return EXIT_CARDS_GONE
    return 0


def readings(
    host: Host, packages: tuple[Package, ...], seconds: float, count: int | None
) -> Iterator[list[dict[str, object]]]:
    """The lines of each reading, the first at once; without end where `count` is None and the input lasts."""
    counted = PackageSum(0, counters_of(packages) or {})
    watches: dict[str, Watch] = {}
    due = time.monotonic()
    taken = 0
    while True:
        if taken > 0 and taken % LOOK_AGAIN_READINGS == 0 and not host.is_whole:
            with suppress(NoCards):
                host.look()
        watches |= {card.uuid: Watch(card, seconds) for card in host.cards if card.uuid not in watches}
        lines = [card_line(watches[card.uuid].read()) for card in host.cards]
        # What does not answer for a while adds all that it rose by once it does.
        now = counters_of(packages)
        counted = counted if now is None else counted.with_reading(now)
        # A processor's counter rises a thousand times a second: one that does not is none.
        if counted.microjoules > 0:
            lines.append({"t": _now(), "src": "rapl", "mj": counted.microjoules // 1000})
        yield lines
        taken += 1
        due = max(due + seconds, time.monotonic())
        if taken == count or not _waited(due, heeds_input=count is None):
            return


def card_line(reading: CardReading) -> dict[str, object]:
    processes = None
    if reading.processes is not None:
        processes = [{"pid": one.pid, "share": one.share} for one in reading.processes]
    figures = {"mj": reading.millijoules, "mw": reading.milliwatts, "processes": processes}
    return {"t": reading.at, "src": "nvml", "uuid": reading.uuid, **figures}


@dataclass(slots=True)
class Silence:
    """Whether all cards that ever answered have ceased to."""

    _answered: bool = field(default=False)
    _silent: int = field(default=0)

    def lasts(self, lines: list[dict[str, object]]) -> bool:
        told = [line for line in lines if line["src"] == "nvml"]
        answers = any(line[name] is not None for line in told for name in ("mj", "mw", "processes"))
        self._answered = self._answered or answers
        self._silent = 0 if answers else self._silent + 1
        return self._answered and self._silent >= SILENT_READINGS


def _waited(due: float, *, heeds_input: bool) -> bool:
    """Until a moment of the monotonic clock; False when the input has ended before."""
    while (left := due - time.monotonic()) > 0:
        if not heeds_input:
            time.sleep(left)
        elif select.select([0], [], [], left)[0] and os.read(0, 4096) == b"":
            return False
    return True


def _leave(_signal: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)


def _now() -> int:
    return round(time.time() * 1000)


if __name__ == "__main__":
    sys.exit(main())
