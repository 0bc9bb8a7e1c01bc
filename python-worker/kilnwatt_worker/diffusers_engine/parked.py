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

    def __init__(self, part: Pipeline, device: torch.device, reread: Reread) -> None:
        self._weights: dict[str, torch.nn.Parameter] = dict(part.named_parameters())
        self._device = device
        self._source = reread if device.type == "cpu" else _pinned(self._weights)

    def __call__(self, part: Pipeline, _arguments: object) -> None:
        if not self.away:
            return
        kept = self._source()
        for name, weight in self._weights.items():
            weight.data = kept[name].to(self._device, non_blocking=True)
        self._move_added(part, self._device)

    @property
    def away(self) -> bool:
        """Looked up in the tensors."""
        return all(_is_away(weight, self._device) for weight in self._weights.values() if weight.numel() > 1)

    def leave(self, part: Pipeline) -> None:
        on_cpu = self._device.type == "cpu"
        kept = {} if on_cpu else self._source()
        for name, weight in self._weights.items():
            weight.data = _of_no_size(weight) if on_cpu else kept[name]
        if not on_cpu:
            self._move_added(part, torch.device("cpu"))

    def _move_added(self, part: Pipeline, device: torch.device) -> None:
        """LoRAs that came later."""
        known = {id(weight) for weight in self._weights.values()}
        for weight in part.parameters():
            if id(weight) not in known:
                weight.data = weight.data.to(device)


def park(part: Pipeline, device: torch.device, reread: Reread) -> None:
    """Its buffers stay on the device: they are small, and files do not hold all of them."""
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


def _pinned(weights: Mapping[str, torch.nn.Parameter]) -> Reread:
    """One after the other, so that the host never holds all of them twice."""
    for weight in weights.values():
        weight.data = weight.data.cpu().pin_memory()
    kept = {name: weight.data for name, weight in weights.items()}
    return lambda: kept


def _is_away(weight: torch.nn.Parameter, device: torch.device) -> bool:
    return (
        weight.device.type != device.type or weight.untyped_storage().nbytes() < weight.numel() * weight.element_size()
    )


def _of_no_size(like: torch.Tensor) -> torch.Tensor:
    """Of the same shape, so that its bytes are still counted rightly, and with the storage of one number."""
    return torch.zeros((), dtype=like.dtype).expand(like.shape)
