"""Prompts that were encoded before are not encoded again, and the picture is the same."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from kilnwatt_worker.diffusers_engine import lora, prompt_cache
from kilnwatt_worker.diffusers_engine.encode import encode, remembered, texts_of
from kilnwatt_worker.diffusers_engine.engine import DiffusersEngine
from kilnwatt_worker.diffusers_engine.load import load_pipeline
from kilnwatt_worker.diffusers_engine.pipeline import LoadedPipeline
from kilnwatt_worker.diffusers_engine.prompt_cache import PromptCache, Text, apply, cache_of, in_effect
from kilnwatt_worker.diffusers_engine.technique import Target
from kilnwatt_worker.parts import Params, Preset
from tests.closeness import psnr
from tests.lora_batches import ref
from tests.lora_files import lora_file
from tests.samples import FLUX_PARAMS, PARAMS, Recorder, generate_of, item, load_of
from training.eval_shapes import BOX

KEEPS = Preset("keeps", dtype="float32", prompt_cache=16)
FLUX_GUIDED = replace(FLUX_PARAMS, guidance=3.0)
CASES = pytest.mark.parametrize(("family", "params"), [("sd", PARAMS), ("sdxl", PARAMS), ("flux", FLUX_GUIDED)])


def loaded_of(path: Path, kept: int = 16) -> LoadedPipeline:
    return load_pipeline(load_of(path, replace(KEEPS, prompt_cache=kept)), lambda _level, _message: None)


def calls_of_encoders(loaded: LoadedPipeline) -> list[str]:
    calls: list[str] = []
    for name in ("text_encoder", "text_encoder_2"):
        encoder = getattr(loaded.pipe, name, None)
        if encoder is not None:
            encoder.register_forward_pre_hook(lambda _module, _given, name=name: calls.append(name))
    return calls


@CASES
def test_a_batch_whose_prompts_are_all_known_leaves_the_encoders_alone_and_gets_the_same_bits(
    model: Callable[[str], Path], family: str, params: Params
) -> None:
    loaded, plain = loaded_of(model(family)), loaded_of(model(family), kept=0)
    items = [item(0, negative="blurry"), item(1), item(2, negative="blurry")]
    first = encode(loaded, items, params)
    calls = calls_of_encoders(loaded)
    again = encode(loaded, items, params)
    assert calls == []
    for name, tensor in encode(plain, items, params).items():
        assert isinstance(tensor, torch.Tensor)
        for other in (first[name], again[name]):
            assert isinstance(other, torch.Tensor)
            assert torch.equal(tensor, other)
    encode(loaded, [item(3)], params)
    assert set(calls) == ({"text_encoder"} if family == "sd" else {"text_encoder", "text_encoder_2"})


@CASES
def test_rows_from_the_cache_stand_in_any_order(model: Callable[[str], Path], family: str, params: Params) -> None:
    loaded, plain = loaded_of(model(family)), loaded_of(model(family), kept=0)
    encode(loaded, [item(0), item(1, negative="blurry"), item(2)], params)
    mixed = [item(2), item(5), item(1, negative="blurry")]
    made = encode(loaded, mixed, params)
    for name, tensor in encode(plain, mixed, params).items():
        other = made[name]
        assert isinstance(tensor, torch.Tensor)
        assert isinstance(other, torch.Tensor)
        assert torch.allclose(tensor, other, atol=1e-5)


def test_a_text_is_another_one_with_clip_skip_and_with_other_loras(
    model: Callable[[str], Path], tmp_path: Path
) -> None:
    loaded = loaded_of(model("sd"))
    plain, skipped = (encode(loaded, [item(0)], replace(PARAMS, clip_skip=skip))["prompt_embeds"] for skip in (0, 1))
    assert isinstance(plain, torch.Tensor)
    assert isinstance(skipped, torch.Tensor)
    assert not torch.allclose(plain, skipped)

    made = lora_file(tmp_path, "sd", 3, targets={"text_encoder": ["q_proj", "fc1"]})
    denoisers = lora_file(tmp_path, "sd", 4, targets={"unet": ["to_q"]})
    found = []
    for loras in ([], [ref(made)], [ref(made, 0.5)], [ref(denoisers)], []):
        lora.use(loaded, loras, lambda _level, _message: None)
        known = remembered(loaded, [item(0)], PARAMS)
        found.append((known, encode(loaded, [item(0)], PARAMS)["prompt_embeds"]))
    assert [known for known, _ in found] == [1, 0, 0, 1, 1], "a LoRA of the denoiser alone changes no text"
    embeds = [tensor for _, tensor in found if isinstance(tensor, torch.Tensor)]
    assert not torch.allclose(embeds[0], embeds[1])
    assert not torch.allclose(embeds[1], embeds[2])
    assert torch.equal(embeds[0], embeds[3])
    assert torch.equal(embeds[0], embeds[4])


def test_those_that_were_used_longest_ago_leave() -> None:
    cache = PromptCache(2)
    texts = [Text(words, 0, ()) for words in "abc"]
    batch = torch.zeros(1000, 4)
    cache.keep({text: {"embeds": batch[row]} for row, text in enumerate(texts[:2])})
    cache.recall([texts[0]])
    cache.keep({texts[2]: {"embeds": batch[2]}})
    assert [text in cache for text in texts] == [True, False, True]
    [row] = cache.recall([texts[0]]).values()
    assert row["embeds"].untyped_storage().nbytes() == 16, "a row holds the memory of its batch"
    cache.keep({Text(words, 0, ()): {"embeds": batch[0]} for words in "defg"})
    assert (len(cache), Text("g", 0, ()) in cache) == (2, True)


@CASES
def test_no_more_prompts_are_kept_than_have_room_in_the_host(
    model: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, family: str, params: Params
) -> None:
    """Their number alone was a bound, and a hundred thousand of Flux would have been 400 GB."""
    loaded = loaded_of(model(family))
    encode(loaded, [item(0)], params)
    [row, *_] = cache_of(loaded.pipe).recall(texts_of(loaded, item(0), params)).values()
    monkeypatch.setattr(prompt_cache, "MOST_BYTES", 3 * sum(tensor.nbytes for tensor in row.values()))
    smaller = loaded_of(model(family))
    assert smaller.settings["prompt_cache"] == 3
    assert [(one.setting, one.asked, one.in_effect) for one in smaller.downgrades] == [("prompt_cache", "16", "3")]
    assert loaded_of(model(family), kept=3).downgrades == ()


def test_a_batch_with_more_prompts_than_are_kept_is_encoded_as_a_whole(model: Callable[[str], Path]) -> None:
    loaded = loaded_of(model("sd"), kept=2)
    made = encode(loaded, [item(number) for number in range(5)], PARAMS)["prompt_embeds"]
    assert isinstance(made, torch.Tensor)
    assert len(made) == 5


def test_the_engine_tells_how_many_prompts_it_knew_and_draws_the_same(tmp_path: Path) -> None:
    """With the model in the box, each prompt cached from a batch of another size."""
    prompts = ["a red circle on a blue background", "a small white star on the left on a purple background"]
    params = replace(PARAMS, steps=6)

    def drawn(engine: DiffusersEngine, name: str, numbers: list[int]) -> int:
        items = [item(one, tmp_path / f"{name}-{one}", prompt=prompts[one]) for one in numbers]
        recorder = Recorder(generate_of(items, params))
        engine.generate(recorder.generate, recorder)
        assert recorder.failures == {}
        return recorder.took[0][1].cached_prompts

    plain, keeps = DiffusersEngine(), DiffusersEngine()
    plain.load(load_of(BOX, replace(KEEPS, prompt_cache=0)), lambda _level, _message: None)
    assert keeps.load(load_of(BOX, KEEPS), lambda _level, _message: None).settings["prompt_cache"] == 16
    assert [drawn(keeps, "first", [0, 1]), drawn(keeps, "cached", [1])] == [0, 1]
    assert [drawn(plain, "plain", [1]), drawn(plain, "again", [1])] == [0, 0]
    assert psnr(tmp_path / "cached-1", tmp_path / "plain-1") >= 40
    assert drawn(keeps, "mixed", [0, 1]) == 2


def test_a_pipeline_that_encodes_within_its_call_has_no_cache_and_says_so(model: Callable[[str], Path]) -> None:
    loaded = loaded_of(model("sd"), kept=0)
    target = Target(loaded.pipe, KEEPS, "other", torch.device("cpu"), model("sd"), lambda _level, _message: None)
    apply(target)
    assert in_effect(loaded.pipe) == {"prompt_cache": 0}
    assert [(one.setting, one.asked, one.in_effect) for one in target.downgrades] == [("prompt_cache", "16", "0")]
