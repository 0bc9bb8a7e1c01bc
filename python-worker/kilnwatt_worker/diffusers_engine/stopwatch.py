"""Moments of a device's work. A card runs behind the program, so its moments are marks in its own queue of work."""

import time

import torch


class CardWatch:
    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._marks: list[torch.cuda.Event] = []

    def mark(self) -> None:
        event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record(torch.cuda.current_stream(self._device))
        self._marks.append(event)

    def seconds(self) -> list[float]:
        """Waits for the last mark, which costs nothing once the device is done."""
        self._marks[-1].synchronize()
        pairs = zip(self._marks, self._marks[1:], strict=False)
        return [float(before.elapsed_time(after)) / 1000 for before, after in pairs]


class ClockWatch:
    def __init__(self) -> None:
        self._marks: list[float] = []

    def mark(self) -> None:
        self._marks.append(time.perf_counter())

    def seconds(self) -> list[float]:
        return [after - before for before, after in zip(self._marks, self._marks[1:], strict=False)]


def stopwatch(device: torch.device) -> CardWatch | ClockWatch:
    return CardWatch(device) if device.type == "cuda" else ClockWatch()
