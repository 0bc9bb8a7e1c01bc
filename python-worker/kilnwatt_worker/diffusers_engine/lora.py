"""
LoRAs, changed from batch to batch while the base stays loaded.

There are two ways. Without `lora_rank` a few LoRAs stay in the model side by side, and each batch says which of them
act; code that was compiled for other ones is compiled anew. With it all layers have room for one LoRA of that rank,
and each batch fills it with the sum of its own: nothing is compiled anew, see `lora_swap`.
"""

import warnings
from collections.abc import Sequence
from dataclasses import replace

import torch

from kilnwatt_worker.combinations import Facts, refuse
from kilnwatt_worker.diffusers_engine import compiled, lora_swap
from kilnwatt_worker.diffusers_engine.device_errors import device_error
from kilnwatt_worker.diffusers_engine.lora_file import LoraFile, identity_of, layer_at, read
from kilnwatt_worker.diffusers_engine.lora_shelf import Identity, Kept
from kilnwatt_worker.diffusers_engine.pipeline import LoadedPipeline, Pipeline, denoiser_of
from kilnwatt_worker.diffusers_engine.technique import Target
from kilnwatt_worker.engine import LogTo
from kilnwatt_worker.errors import BadRequest, WorkerError
from kilnwatt_worker.parts import LoraRef, Settings
from kilnwatt_worker.sentences import first_line

MOST_IDLE = 8
MOST_IDLE_BYTES = 512 * 1024**2
"""Of LoRAs that stay in a model for later batches: no fit test knows of them."""
IDLE_SHARE = 64
"""And at most one part in so many of a card's memory."""


def apply(target: Target) -> None:
    """Makes room for LoRAs that are swapped in later; before the denoiser is compiled."""
    rank = target.preset.lora_rank
    if rank == 0:
        return
    if not _takes_loras(target.pipe):
        target.downgrade("lora_rank", 0, f"a {type(target.pipe).__name__} takes no LoRAs")
        return
    lora_swap.enable(target.pipe, rank)


def in_effect(pipe: Pipeline) -> Settings:
    return {"lora_rank": lora_swap.rank_of(pipe)}


def use(loaded: LoadedPipeline, loras: Sequence[LoraRef], log: LogTo) -> None:
    """
    Exactly these are in effect afterwards, in the denoiser and in the text encoders. Raises WorkerError for a file that
    cannot be used, and then none is.
    """
    shelf = loaded.loras
    if not loras and not shelf.active:
        return
    try:
        wanted = tuple((identity_of(lora), lora.weight) for lora in loras)
        if wanted == shelf.active:
            return
        _refuse_impossible(loaded, loras)
        if lora_swap.rank_of(loaded.pipe):
            lora_swap.use(loaded, [(read(lora, loaded.pipe), lora.weight) for lora in loras], log)
        else:
            _switch(loaded, loras, wanted)
        shelf.active = wanted
    except Exception as error:
        _none(loaded)
        if isinstance(error, WorkerError | MemoryError) or device_error(error, "taking the LoRAs") is not None:
            raise
        names = ", ".join(lora.path for lora in loras)
        reason = first_line(error)
        raise BadRequest(f"{names} cannot be used with this model ({reason}); leave it out") from error


def drop_idle(loaded: LoadedPipeline) -> None:
    """For when memory ran out: what the batch did not use leaves."""
    _leave(loaded, {identity for identity, _ in loaded.loras.active}, 0, 0)


def text_key(loaded: LoadedPipeline) -> tuple[tuple[Identity, float], ...]:
    """What of the LoRAs in effect changes the embeddings of a prompt; empty where none does."""
    shelf = loaded.loras
    return tuple(
        (identity, weight)
        for identity, weight in shelf.active
        if identity in shelf.kept and shelf.kept[identity].reads_text
    )


def _takes_loras(pipe: Pipeline) -> bool:
    return hasattr(pipe, "load_lora_weights") and bool(getattr(pipe, "_lora_loadable_modules", ()))


def _refuse_impossible(loaded: LoadedPipeline, loras: Sequence[LoraRef]) -> None:
    if not loras:
        return
    if not _takes_loras(loaded.pipe):
        raise BadRequest(f"a {type(loaded.pipe).__name__} takes no LoRAs; leave them out")
    # As it holds: what was not to be had stands in the way of nothing.
    held = {one.setting: loaded.settings[one.setting] for one in loaded.downgrades}
    refuse(replace(loaded.preset, **held), Facts(loras=True))  # type: ignore[arg-type]
    paths = [lora.path for lora in loras]
    twice = next((path for path in paths if paths.count(path) > 1), None)
    if twice is not None:
        raise BadRequest(f"{twice} is named twice; name it once, with the sum of the weights")


def _switch(loaded: LoadedPipeline, loras: Sequence[LoraRef], wanted: tuple[tuple[Identity, float], ...]) -> None:
    shelf, pipe = loaded.loras, loaded.pipe
    new = {
        identity: read(lora, pipe)
        for lora, (identity, _) in zip(loras, wanted, strict=True)
        if identity not in shelf.kept
    }
    compiled.start_over(pipe)
    _leave(loaded, {identity for identity, _ in wanted}, MOST_IDLE, _idle_bytes(loaded.device))
    for identity, file in new.items():
        shelf.kept[identity] = _load(loaded, file)
    for identity, _ in wanted:
        shelf.kept[identity] = shelf.kept.pop(identity)
    if wanted:
        pipe.set_adapters([shelf.kept[identity].adapter for identity, _ in wanted], [weight for _, weight in wanted])
        pipe.enable_lora()
        _verify(pipe, [shelf.kept[identity] for identity, _ in wanted])
    else:
        pipe.disable_lora()


def _leave(loaded: LoadedPipeline, stays: set[Identity], most: int, most_bytes: int) -> None:
    """Of those that do not stay, the ones that were used longest ago, until few enough are left."""
    kept = loaded.loras.kept
    idle = [identity for identity in kept if identity not in stays]
    leaving = []
    while len(idle) > most or sum(kept[identity].size for identity in idle) > most_bytes:
        leaving.append(kept[idle.pop(0)].adapter)
    if leaving:
        compiled.start_over(loaded.pipe)
        loaded.pipe.delete_adapters(leaving)
        loaded.loras.kept = {identity: one for identity, one in kept.items() if one.adapter not in leaving}


def _idle_bytes(device: torch.device) -> int:
    if device.type != "cuda":
        return MOST_IDLE_BYTES
    return min(MOST_IDLE_BYTES, torch.cuda.get_device_properties(device).total_memory // IDLE_SHARE)


def _load(loaded: LoadedPipeline, file: LoraFile) -> Kept:
    shelf, pipe = loaded.loras, loaded.pipe
    shelf.named += 1
    adapter = f"kiln{shelf.named:06}"
    tensors = {}
    for (part, name), layer in file.layers.items():
        dtype = getattr(pipe, part).dtype
        tensors[f"{part}.{name}.lora_A.weight"] = layer.down.to(dtype)
        tensors[f"{part}.{name}.lora_B.weight"] = layer.up.to(dtype)
    try:
        with warnings.catch_warnings():
            # Several at once are meant here.
            warnings.filterwarnings("ignore", message="Already found a `peft_config` attribute", category=UserWarning)
            pipe.load_lora_weights(tensors, adapter_name=adapter)
        for place, layer in file.layers.items():
            # The loader takes a LoRA's alpha from its file only; from here on weights are counted with it.
            carrier = layer_at(pipe, place)
            carrier.lora_alpha[adapter] = layer.scale * carrier.r[adapter]
        lora_swap.keep_precision(pipe, adapter, tensors, file.layers)
    except Exception:
        pipe.delete_adapters([adapter])
        raise
    denoiser = {part for part in file.parts if getattr(pipe, part) is denoiser_of(pipe)}
    size = sum(tensor.nbytes for tensor in tensors.values())
    return Kept(adapter, frozenset(file.layers), size, reads_text=file.parts != denoiser)


def _verify(pipe: Pipeline, used: Sequence[Kept]) -> None:
    for kept in used:
        for place in kept.places:
            carrier = layer_at(pipe, place)
            if carrier.disable_adapters or kept.adapter not in carrier.active_adapters:
                raise WorkerError("internal", f"a LoRA is not in effect in {'.'.join(place)}; report this")


def _none(loaded: LoadedPipeline) -> None:
    shelf = loaded.loras
    if shelf.room:
        lora_swap.clear(loaded)
    elif shelf.kept:
        loaded.pipe.disable_lora()
        if shelf.active:
            compiled.start_over(loaded.pipe)
    shelf.active = ()
