"""What a CPU need not do for small pictures."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

FEW = 256
"""
Latents of one picture of 128x128, by a model of the usual factor 8. With `kiln-shapes`, alone it takes a tenth less
time so, four together take a sixth more; larger models were not measured at so few pixels, which they are not made for.
"""


@contextmanager
def lean(device: torch.device, latents: int) -> Iterator[None]:
    """
    On a CPU nothing is noted down for gradients, and where there are few `latents` (of all pictures together) there is
    no oneDNN: it turns over the weights of a convolution each time, which can then cost more than the convolution.
    """
    if device.type != "cpu":
        yield
        return
    before = bool(torch.backends.mkldnn.enabled)
    _use_onednn(before and latents > FEW)
    try:
        with torch.inference_mode():
            yield
    finally:
        _use_onednn(before)


def _use_onednn(wanted: bool) -> None:
    """This flag alone: torch's own context also sets that of TF32, which warns where there is no Intel GPU."""
    torch.backends.mkldnn.set_flags(_enabled=wanted, _fp32_precision=None)  # type: ignore[no-untyped-call]
