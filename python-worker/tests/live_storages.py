"""A count of the memory that tensors hold, which knows nothing of what anybody expected them to hold."""

import weakref
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

_PLAIN = (torch.Tensor, torch.nn.Parameter, torch.nn.Buffer)


class LiveStorages(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """
    While it is entered, bytes of the storages that are alive on one kind of device, and their most at one time. A
    storage counts once, however many tensors look at it, from the operation that gave it until nothing holds it.

    What a kernel takes and gives back within one operation is not seen. With a limit, the operation that goes over it
    raises torch.OutOfMemoryError.
    """

    def __init__(self, device: str, limit: int | None = None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.limit = limit
        self.live = 0
        self.peak = 0
        self._device = device
        self._held: dict[int, tuple[int, weakref.ref[torch.UntypedStorage]]] = {}

    def adopt(self, tensors: Iterable[torch.Tensor]) -> None:
        """Counts what was there before."""
        for tensor in tensors:
            for plain in _inner(tensor):
                self._see(plain)

    def take_peak(self) -> int:
        """The most since the last call."""
        peak, self.peak = self.peak, self.live
        return peak

    def __torch_dispatch__(
        self,
        func: Any,  # noqa: ANN401 - torch's own signature
        types: Any,  # noqa: ANN401
        args: tuple[object, ...] = (),
        kwargs: dict[str, object] | None = None,
    ) -> object:
        if any(kind not in _PLAIN for kind in types):
            return NotImplemented  # quantised ones do their work by operations on plain ones, which come here too
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, torch.Tensor):
                self._see(leaf)
        return result

    def _see(self, tensor: torch.Tensor) -> None:
        if tensor.device.type != self._device:
            return
        storage = tensor.untyped_storage()
        key, size = storage._cdata, storage.nbytes()
        known = self._held.get(key)
        if known is not None and known[0] == size:
            return
        if known is None:
            reference = weakref.ref(storage, lambda _: self._gone(key))
        else:
            reference, self.live = known[1], self.live - known[0]
        self._held[key] = (size, reference)
        self.live += size
        self.peak = max(self.peak, self.live)
        if self.limit is not None and self.live > self.limit:
            raise torch.OutOfMemoryError(f"{self.live} bytes are live, and the limit is {self.limit}: out of memory")

    def _gone(self, key: int) -> None:
        held = self._held.pop(key, None)
        if held is not None:
            self.live -= held[0]


def _inner(tensor: torch.Tensor) -> Iterator[torch.Tensor]:
    """The plain tensors that one is made of; a quantised one has no storage of its own."""
    flatten = getattr(tensor, "__tensor_flatten__", None)
    if flatten is None:
        yield tensor
        return
    for name in flatten()[0]:
        yield from _inner(getattr(tensor, name))
