"""Errors that travel on the wire: a stable code, whether another try can help, and one sentence."""

from kilnwatt_worker.sentences import cut

DEVICE_LOST = "device_lost"


class WorkerError(Exception):
    """What `failure` carries. `code` is stable; the sentence says what, where, and what to do."""

    def __init__(self, code: str, message: str, *, retryable: bool = False) -> None:
        self.code = code
        self.message = cut(message)
        super().__init__(self.message)
        self.retryable = retryable


class BadRequest(WorkerError):
    """The request can never be worked off as it is."""

    def __init__(self, message: str) -> None:
        super().__init__("bad_request", message)


class OutOfMemory(WorkerError):
    """The same batch may fit when it is smaller or its preset lower; the caller decides."""

    def __init__(self, where: str) -> None:
        super().__init__("out_of_memory", f"{where} ran out of memory", retryable=True)


class DeviceLost(WorkerError):
    """This process can use its device no more; another one may. It ends after the batch's `done`."""

    def __init__(self, what: str, reason: str) -> None:
        super().__init__(DEVICE_LOST, f"the GPU was lost while {what}: {reason}", retryable=True)


class Stopped(Exception):
    """Every unanswered item of the batch was cancelled; raised between two denoise steps."""


def internal(error: BaseException) -> WorkerError:
    """Any error that nobody foresaw, with its class, because the sentence alone often says little."""
    if isinstance(error, WorkerError):
        return error
    if isinstance(error, MemoryError):
        return OutOfMemory("the host")
    return WorkerError("internal", f"{type(error).__name__}: {error}")
