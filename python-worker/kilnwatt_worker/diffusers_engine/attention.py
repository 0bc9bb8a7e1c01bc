"""Which code computes attention. SDPA is what models come with; the others are verified by what they leave behind."""

from kilnwatt_worker.diffusers_engine.pipeline import Pipeline, denoiser_of
from kilnwatt_worker.diffusers_engine.technique import Target
from kilnwatt_worker.parts import Settings

_VOCABULARY = {"SlicedAttnProcessor": "sliced", "XFormersAttnProcessor": "xformers"}


def apply(target: Target) -> None:
    asked = target.preset.attention
    if asked not in ("sliced", "xformers"):
        return
    reason = "the denoiser has no such processor"
    try:
        if asked == "sliced":
            target.pipe.enable_attention_slicing()
        else:
            target.pipe.enable_xformers_memory_efficient_attention()
    except (ImportError, ValueError, NotImplementedError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    found = str(in_effect(target.pipe)["attention"])
    if found != asked:
        target.downgrade("attention", found, reason)


def in_effect(pipe: Pipeline) -> Settings:
    found = _processors(denoiser_of(pipe))
    kinds = {_VOCABULARY.get(name, "sdpa") for name in found}
    return {"attention": "+".join(sorted(kinds)), "attention_processors": "+".join(found)}


def _processors(denoiser: Pipeline) -> list[str]:
    """Some denoisers keep theirs where nobody can look."""
    processors = getattr(denoiser, "attn_processors", None)
    return sorted({type(one).__name__ for one in processors.values()}) if processors else ["unknown"]
