"""
How often the denoiser's whole depth ran, counted at a module in its deepest block.

A step cache skips the deepest blocks and nothing else, so what is counted there is what really ran. Inside compiled
code nothing is counted: a hook there would be compiled in, and compiled anew at every change of its count.
"""

from collections.abc import Iterator

import torch
from torch import nn
from torch.utils.hooks import RemovableHandle

from kilnwatt_worker.diffusers_engine.pipeline import LoadedPipeline, Pipeline, denoiser_of


class CoreWatch:
    def __init__(self, loaded: LoadedPipeline) -> None:
        denoiser = denoiser_of(loaded.pipe)
        path = core_of(denoiser)
        self._module = None if path is None else observable(denoiser, path)
        self._hook: RemovableHandle | None = None
        self._calls = 0
        self._rows = 0

    def begin(self) -> None:
        if self._module is not None:
            self._hook = self._module.register_forward_hook(self._count)

    def end(self) -> None:
        if self._hook is not None:
            self._hook.remove()

    def seen(self) -> tuple[int, int] | None:
        """Calls, and rows of all calls together; None where nothing can be seen."""
        return None if self._module is None else (self._calls, self._rows)

    def _count(self, _module: nn.Module, _inputs: object, output: object) -> None:
        self._calls += 1
        if isinstance(output, torch.Tensor):
            self._rows += int(output.shape[0])


def core_of(denoiser: nn.Module) -> str | None:
    """
    The path of the first module with weights of its own in the deepest block: of a UNet the middle, of a transformer
    the last of its longest row of blocks. Not the block itself, whose call may come back at once.
    """
    deepest = _deepest(denoiser)
    if deepest is None:
        return None
    path, block = deepest
    inner = next((name for name, part in block.named_modules() if not _has_parts(part) and _has_weights(part)), None)
    return None if inner is None else f"{path}.{inner}".rstrip(".")


def observable(denoiser: Pipeline, path: str) -> nn.Module | None:
    """The module there; None when it or anything around it is compiled."""
    around = list(_along(denoiser, path))
    compiled = any(getattr(part, "_compiled_call_impl", None) is not None for part in around)
    return None if compiled or hasattr(denoiser, "_orig_mod") else around[-1]


def _deepest(denoiser: nn.Module) -> tuple[str, nn.Module] | None:
    middle = getattr(denoiser, "mid_block", None)
    if isinstance(middle, nn.Module):
        return "mid_block", middle
    rows = [(name, part) for name, part in denoiser.named_children() if isinstance(part, nn.ModuleList) and len(part)]
    if not rows:
        return None
    most = max(len(part) for _, part in rows)
    name, longest = [row for row in rows if len(row[1]) == most][-1]
    return f"{name}.{len(longest) - 1}", longest[-1]


def _along(denoiser: nn.Module, path: str) -> Iterator[nn.Module]:
    yield denoiser
    steps = path.split(".")
    for depth in range(1, len(steps) + 1):
        yield denoiser.get_submodule(".".join(steps[:depth]))


def _has_parts(module: nn.Module) -> bool:
    return next(module.children(), None) is not None


def _has_weights(module: nn.Module) -> bool:
    return next(module.parameters(recurse=False), None) is not None
