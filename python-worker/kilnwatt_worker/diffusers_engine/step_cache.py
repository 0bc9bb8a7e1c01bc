"""
Denoise steps that are not computed in whole, because little changes between them.

What a cache holds belongs to one call: `forget` is called after each, however it ended. With `first_block` a batch
decides together whether it skips, so that a picture depends on its neighbours; with `deepcache` it does not.
"""

from dataclasses import dataclass, field
from types import SimpleNamespace

from kilnwatt_worker.diffusers_engine.pipeline import Pipeline, denoiser_of
from kilnwatt_worker.diffusers_engine.technique import Target
from kilnwatt_worker.errors import WorkerError
from kilnwatt_worker.parts import Preset, Settings

_LEADER = "fbc_leader_block_hook"
"""diffusers' name of the hook on the first block, which decides for all others."""


def apply(target: Target) -> None:
    """Raises WorkerError `preset_impossible`; strengths that leave nothing out were refused before."""
    preset, denoiser = target.preset, denoiser_of(target.pipe)
    if preset.step_cache == "first_block":
        _cache_first_block(preset, denoiser)
    elif preset.step_cache == "deepcache":
        _cache_depth(preset, denoiser)


def in_effect(pipe: Pipeline) -> Settings:
    denoiser = denoiser_of(pipe)
    for module in denoiser.modules():
        registry = getattr(module, "_diffusers_hook", None)
        if registry is not None and (hook := registry.get_hook(_LEADER)) is not None:
            return {"step_cache": "first_block", "step_cache_strength": float(hook.threshold)}
    counter = _counter_of(denoiser)
    if counter is not None and "forward" in vars(denoiser.mid_block):
        return {"step_cache": "deepcache", "step_cache_strength": float(counter.helper.params["cache_interval"])}
    return {"step_cache": "none", "step_cache_strength": 0.0}


def forget(pipe: Pipeline) -> None:
    """The next call begins with a whole step."""
    denoiser = denoiser_of(pipe)
    if getattr(denoiser, "is_cache_enabled", False):
        denoiser._reset_stateful_cache()
    counter = _counter_of(denoiser)
    if counter is not None:
        counter.forget()


def _cache_first_block(preset: Preset, denoiser: Pipeline) -> None:
    from diffusers import FirstBlockCacheConfig

    if not hasattr(denoiser, "enable_cache"):
        raise _impossible(preset, f"a {type(denoiser).__name__} is no transformer that diffusers can cache")
    try:
        denoiser.enable_cache(FirstBlockCacheConfig(threshold=preset.step_cache_strength))
    except (ValueError, IndexError) as error:  # of blocks that nobody has described to it, or of fewer than two
        raise _impossible(preset, f"diffusers does not know the blocks of a {type(denoiser).__name__}") from error


def _cache_depth(preset: Preset, denoiser: Pipeline) -> None:
    if not all(hasattr(denoiser, part) for part in ("down_blocks", "mid_block", "up_blocks")):
        raise _impossible(preset, f"a {type(denoiser).__name__} is no UNet")
    from DeepCache import DeepCacheSDHelper

    helper = DeepCacheSDHelper(SimpleNamespace(unet=denoiser))
    helper.set_params(cache_interval=int(preset.step_cache_strength))
    # It tells steps by their timestep, of which some schedulers have equal ones, and waits for the device to read it.
    helper.wrap_unet_forward = lambda: None
    helper.enable()
    denoiser.register_forward_pre_hook(_Counter(helper))


@dataclass(slots=True, eq=False)
class _Counter:
    """Tells DeepCache's helper which call of the UNet this is. Not by its `forward`, which offloading exchanges."""

    helper: Pipeline = field(repr=False)
    calls: int = 0

    def __call__(self, _module: Pipeline, _inputs: object) -> None:
        self.helper.cur_timestep = self.calls
        self.calls += 1

    def forget(self) -> None:
        """Not by its `reset_states`, which forgets the modules' own functions too."""
        self.calls = 0
        self.helper.start_timestep = None
        self.helper.cached_output.clear()


def _counter_of(denoiser: Pipeline) -> _Counter | None:
    return next((hook for hook in denoiser._forward_pre_hooks.values() if isinstance(hook, _Counter)), None)


def _impossible(preset: Preset, reason: str) -> WorkerError:
    return WorkerError(
        "preset_impossible", f"step_cache={preset.step_cache} cannot be here: {reason}; use another preset"
    )
