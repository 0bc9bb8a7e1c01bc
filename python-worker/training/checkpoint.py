"""
Where a training stands, on the disk: an interrupted one goes on from its last checkpoint to the same weights as one
that was never interrupted, because all chance in a step comes from the seed and the number of the step.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

Tensors = Mapping[str, torch.Tensor]


class CheckpointError(Exception):
    """The sentence for the user."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Of one stage. `training` says which one it is, its recipe and seed: a file of another one is refused."""

    file: Path
    training: str

    def save(self, step: int, tensors: Tensors) -> None:
        """Whole or not at all. Raises CheckpointError."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        part = self.file.with_name(f".{self.file.name}.part")
        plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
        try:
            save_file(plain, part, metadata={"step": str(step), "training": self.training})
            part.replace(self.file)
        except (SafetensorError, OSError) as error:
            raise CheckpointError(
                f"{self.file} cannot be written ({error}); make room, and the same command goes on"
            ) from error

    def load(self) -> tuple[int, Tensors] | None:
        """Steps done and the tensors; None where there is no such file. Raises CheckpointError."""
        if not self.file.exists():
            return None
        try:
            with safe_open(self.file, framework="pt") as opened:
                about = opened.metadata() or {}
                tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 - not a mapping
        except (SafetensorError, OSError) as error:
            raise CheckpointError(
                f"{self.file} cannot be read ({error}); delete it to begin this stage anew"
            ) from error
        if about.get("training") != self.training:
            raise CheckpointError(
                f"{self.file} is of a training with another recipe or seed; delete it, or name another --checkpoints"
            )
        return int(about["step"]), tensors


def packed(modules: Mapping[str, nn.Module], optimisers: Sequence[torch.optim.Optimizer]) -> Tensors:
    """Weights as `NAME/weight`, the moments of an optimiser as `optimiserNUMBER/PARAMETER/moment`."""
    tensors = {
        f"{name}/{key}": tensor for name, module in modules.items() for key, tensor in module.state_dict().items()
    }
    for place, optimiser in enumerate(optimisers):
        for number, state in optimiser.state_dict()["state"].items():
            moments = {f"optimiser{place}/{number}/{key}": torch.as_tensor(value) for key, value in state.items()}
            tensors |= moments
    return tensors


def unpack(tensors: Tensors, modules: Mapping[str, nn.Module], optimisers: Sequence[torch.optim.Optimizer]) -> None:
    for name, module in modules.items():
        module.load_state_dict(_below(tensors, name))
    for place, optimiser in enumerate(optimisers):
        state: dict[int, dict[str, torch.Tensor]] = {}
        for key, tensor in _below(tensors, f"optimiser{place}").items():
            number, what = key.split("/")
            state.setdefault(int(number), {})[what] = tensor
        optimiser.load_state_dict({**optimiser.state_dict(), "state": state})


def _below(tensors: Tensors, name: str) -> dict[str, torch.Tensor]:
    start = f"{name}/"
    return {key.removeprefix(start): tensor for key, tensor in tensors.items() if key.startswith(start)}
