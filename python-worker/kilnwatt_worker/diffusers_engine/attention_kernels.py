"""Kernels of attention by name: how one is named to a denoiser, and whether this device can compute with it."""

import warnings

import torch
from diffusers.models.attention_dispatch import AttentionBackendName, dispatch_attention_fn
from diffusers.models.attention_processor import AttnProcessor2_0, FusedAttnProcessor2_0
from torch.nn.attention import SDPBackend, sdpa_kernel

from kilnwatt_worker.diffusers_engine.device_errors import trial_error
from kilnwatt_worker.diffusers_engine.pipeline import Pipeline
from kilnwatt_worker.sentences import first_line

KERNELS = {
    "sdpa_flash": SDPBackend.FLASH_ATTENTION,
    "sdpa_efficient": SDPBackend.EFFICIENT_ATTENTION,
    "sdpa_cudnn": SDPBackend.CUDNN_ATTENTION,
    "sdpa_math": SDPBackend.MATH,
}
"""Of torch, for denoisers that call SDPA themselves."""

BACKENDS = {
    "sdpa_flash": AttentionBackendName._NATIVE_FLASH,
    "sdpa_efficient": AttentionBackendName._NATIVE_EFFICIENT,
    "sdpa_cudnn": AttentionBackendName._NATIVE_CUDNN,
    "sdpa_math": AttentionBackendName._NATIVE_MATH,
    "xformers": AttentionBackendName.XFORMERS,
    "flash": AttentionBackendName.FLASH,
    "sage": AttentionBackendName.SAGE,
}
"""Of diffusers' dispatcher, for denoisers that ask it."""

_WRAPPED = (AttnProcessor2_0, FusedAttnProcessor2_0)
_PROBE_TOKENS = 64


class NamedKernel:
    """A processor whose SDPA uses one kernel, or raises."""

    def __init__(self, inner: Pipeline, kernel: SDPBackend) -> None:
        self.inner = inner
        self.kernel = kernel

    # The parameters of the processors inside: what is not named here diffusers does not hand on.
    def __call__(
        self,
        attn: Pipeline,
        hidden_states: torch.Tensor,
        encoder_hidden_states: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        temb: torch.Tensor | None = None,
    ) -> torch.Tensor:
        with sdpa_kernel(self.kernel):
            made: torch.Tensor = self.inner(attn, hidden_states, encoder_hidden_states, attention_mask, temb)
        return made


def name_kernel(denoiser: Pipeline, kernel: SDPBackend) -> bool:
    """False, and nothing is changed, where some processor does not call SDPA as those of UNets do."""
    processors = getattr(denoiser, "attn_processors", None) or {}
    if not processors or any(type(one) not in _WRAPPED for one in processors.values()):
        return False
    denoiser.set_attn_processor({name: NamedKernel(one, kernel) for name, one in processors.items()})
    return True


def named_kernel(processor: Pipeline) -> SDPBackend | None:
    return processor.kernel if isinstance(processor, NamedKernel) else None


def refusal(attention: str, denoiser: Pipeline, device: torch.device) -> str | None:
    """
    Why the device cannot compute this denoiser's attention so, tried out on a few random numbers; None where it can.
    Kernels refuse dtypes and widths of heads, and which ones differs by card and version.
    """
    try:
        for width in _widths(denoiser):
            _try(attention, width, denoiser.dtype, device)
    except (RuntimeError, ValueError, ImportError, AssertionError, NotImplementedError) as error:
        if trial_error(error, "trying out a kernel") is not None:
            raise
        said = first_line(error)
        return f"heads of {width} numbers in {denoiser.dtype} on a {device.type} cannot be computed so ({said})"
    return None


def _try(attention: str, width: int, dtype: torch.dtype, device: torch.device) -> None:
    few = torch.randn(1, _PROBE_TOKENS, 2, width).to(device, dtype)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's reasons, one warning for each kernel that is off
        if attention in KERNELS:
            rows = few.transpose(1, 2)
            with sdpa_kernel(KERNELS[attention]):
                torch.nn.functional.scaled_dot_product_attention(rows, rows, rows)
        else:
            dispatch_attention_fn(few, few, few, backend=BACKENDS[attention])


def _widths(denoiser: Pipeline) -> list[int]:
    """Of the heads, each once."""
    modules = [module for module in denoiser.modules() if hasattr(module, "heads") and hasattr(module, "inner_dim")]
    return sorted({int(module.inner_dim) // int(module.heads) for module in modules})
