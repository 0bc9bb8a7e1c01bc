"""
Weights that are on the device only while their part is used: text encoders, between the prompts of one batch and those
of the next.

From a card they go to pinned memory of the host, from where they come back fast. On a CPU there is nowhere to go, so
they are dropped, and read again from the model's folder. The tensors stay what they are, only their data is exchanged:
whatever was built upon them, LoRAs and hooks, holds.
"""

from collections.abc import Callable, Mapping
from typing import TypeAlias

import torch

from kilnwatt_worker.diffusers_engine.pipeline import Pipeline

Reread: TypeAlias = Callable[[], Mapping[str, torch.Tensor]]
"""The weights by their names."""


class Parked:
    """A hook of a part, called before the part's work. It knows the weights that the part had when it was parked."""

    def __init__(self, part: Pipeline, device: torch.device, reread: Reread | None) -> None:
        self._weights: dict[str, torch.nn.Parameter] = dict(part.named_parameters())
        self._device = device
        self._reread = reread
        self._kept = _pinned(self._weights) if reread is None else {}

    def __call__(self, part: Pipeline, _arguments: object) -> None:
        if not self.away:
            return
        is_kept = self._reread is None
        source = self._kept if self._reread is None else self._reread()
        for name, weight in self._weights.items():
            weight.data = source[name].to(self._device, non_blocking=True, copy=is_kept)
        self._move_added(part, self._device)

    @property
    def away(self) -> bool:
        """Looked up in the tensors."""
        return all(self._is_away(name, weight) for name, weight in self._weights.items() if weight.numel() > 1)

    def leave(self, part: Pipeline) -> None:
        for name, weight in self._weights.items():
            weight.data = self._kept[name] if self._reread is None else _of_no_size(weight)
        if self._reread is None:
            self._move_added(part, torch.device("cpu"))

    def _is_away(self, name: str, weight: torch.nn.Parameter) -> bool:
        if self._reread is None:
            return weight.data_ptr() == self._kept[name].data_ptr()
        return weight.untyped_storage().nbytes() < weight.numel() * weight.element_size()

    def _move_added(self, part: Pipeline, device: torch.device) -> None:
        """LoRAs that came later."""
        known = {id(weight) for weight in self._weights.values()}
        for weight in part.parameters():
            if id(weight) not in known:
                weight.data = weight.data.to(device)


def park(part: Pipeline, device: torch.device, reread: Reread | None) -> None:
    """
    With `reread` the weights are dropped and read again, without it the host keeps them. Buffers stay on the device:
    they are small, and files do not hold all of them.
    """
    parked = Parked(part, device, reread)
    part.register_forward_pre_hook(parked)
    for module in part.modules():
        for name, buffer in module._buffers.items():
            module._buffers[name] = None if buffer is None else buffer.to(device)
    parked.leave(part)


def parked(part: Pipeline) -> Parked | None:
    return next((hook for hook in part._forward_pre_hooks.values() if isinstance(hook, Parked)), None)


def is_parkable(part: Pipeline) -> bool:
    """Quantised weights of some packages are more than their data."""
    return not any(hasattr(weight, "__tensor_flatten__") for weight in part.parameters())


def _pinned(weights: Mapping[str, torch.nn.Parameter]) -> Mapping[str, torch.Tensor]:
    """One after the other, so that the host never holds all of them twice. Without a card there is nothing to pin."""
    for weight in weights.values():
        on_host = weight.data.cpu()
        weight.data = on_host.pin_memory() if torch.cuda.is_available() else on_host
    return {name: weight.data for name, weight in weights.items()}


def _of_no_size(like: torch.Tensor) -> torch.Tensor:
    """Of the same shape, so that its bytes are still counted rightly, and with the storage of one number."""
    return torch.zeros((), dtype=like.dtype).expand(like.shape)
