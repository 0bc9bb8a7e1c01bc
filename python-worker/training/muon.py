"""
Muon, for weights that are matrices or convolutions: the momentum of each is made orthogonal before it is taken off, so
that no direction is learnt at the cost of the others. `torch.optim.Muon` takes matrices alone.

Source: K. Jordan et al., "Muon: an optimizer for hidden layers in neural networks", 2024; the size of an update, like
that of Adam, from J. Liu et al., "Muon is scalable for LLM training", 2025.
"""

from collections import defaultdict
from collections.abc import Iterable

import torch
from torch import nn

MOMENTUM = 0.95
LIKE_ADAM = 0.2
ROUNDS = 5
POLYNOMIAL = (3.4445, -4.7750, 2.0315)
"""Of Jordan: after five rounds all singular values lie near 1."""


class Muon(torch.optim.Optimizer):
    def __init__(self, parameters: Iterable[nn.Parameter], rate: float = 4e-3) -> None:
        """All of `parameters` have two dimensions or more; those after the first are seen as one."""
        super().__init__(parameters, {"lr": rate})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            alike: dict[tuple[int, int], list[nn.Parameter]] = defaultdict(list)
            for parameter in group["params"]:
                alike[_flat(parameter)].append(parameter)
            for shape, parameters in alike.items():
                pushes = orthogonal(torch.stack([self._push(each).flatten(1) for each in parameters]))
                for parameter, push in zip(parameters, pushes, strict=True):
                    size = LIKE_ADAM * max(shape) ** 0.5
                    parameter.sub_(push.reshape(parameter.shape), alpha=group["lr"] * size)

    def _push(self, parameter: nn.Parameter) -> torch.Tensor:
        if parameter.grad is None:
            raise ValueError("a parameter has no gradient")
        state = self.state[parameter]
        momentum = state.setdefault("momentum", torch.zeros_like(parameter))
        momentum.lerp_(parameter.grad, 1 - MOMENTUM)
        return parameter.grad.lerp(momentum, MOMENTUM)


def _flat(parameter: nn.Parameter) -> tuple[int, int]:
    return len(parameter), parameter.numel() // len(parameter)


def orthogonal(matrices: torch.Tensor) -> torch.Tensor:
    """(n, rows, columns): of each matrix near the closest one whose singular values are all 1, by Newton and Schulz."""
    a, b, c = POLYNOMIAL
    wide = matrices.shape[-2] <= matrices.shape[-1]
    x: torch.Tensor = matrices if wide else matrices.mT
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(ROUNDS):
        square = x @ x.mT
        x = a * x + (b * square + c * square @ square) @ x
    return x if wide else x.mT
