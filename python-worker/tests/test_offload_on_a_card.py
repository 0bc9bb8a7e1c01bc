"""
What leaves a card and comes back, with LoRAs and quantised layers too. The host stands in for the card, so what is
there is told by its storage from what the host keeps.
"""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from kilnwatt_worker.combinations import Facts, impossible
from kilnwatt_worker.diffusers_engine import placement
from tests.host_as_card import host_as_card, placed
from tests.lora_batches import latents, ref
from tests.lora_files import lora_file
from tests.techniques import loaded_with, params_of, pictures_of, pipeline_in, preset_of


def test_parked_on_a_card_text_encoders_are_copied_there_and_the_hosts_own_stay_where_they_are(
    model: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, _ = placed(model("sdxl"), "text_encoders", monkeypatch)
    loaded = pipeline_in(engine)
    weights = [
        weight for part in (loaded.pipe.text_encoder, loaded.pipe.text_encoder_2) for weight in part.parameters()
    ]
    at_rest = [weight.data_ptr() for weight in weights]
    with placement.encoders(loaded):
        loaded.pipe.encode_prompt("a red circle")
        assert {*at_rest} & {weight.data_ptr() for weight in weights} == set()
        assert placement.in_effect(loaded.pipe) == {"offload": "none"}
    assert [weight.data_ptr() for weight in weights] == at_rest
    assert placement.in_effect(loaded.pipe) == {"offload": "text_encoders"}


@pytest.mark.parametrize(("family", "encoder"), [("flux", "text_encoder_2"), ("sdxl", "text_encoder_2")])
def test_of_a_text_encoder_that_streams_few_layers_are_on_the_card_at_once(
    model: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, family: str, encoder: str
) -> None:
    """It was brought there in whole: the T5 of Flux is 9.5 GB, and the preset is for cards of 8."""
    engine, _ = placed(model(family), "group", monkeypatch)
    loaded = pipeline_in(engine)
    part = getattr(loaded.pipe, encoder)
    at_rest = {name: weight.data_ptr() for name, weight in part.named_parameters()}
    on_card: list[set[str]] = []

    linear = torch.nn.functional.linear

    def looking(*inputs: torch.Tensor) -> torch.Tensor:
        on_card.append({name for name, weight in part.named_parameters() if weight.data_ptr() != at_rest[name]})
        return linear(*inputs)

    monkeypatch.setattr(torch.nn.functional, "linear", looking)
    for _ in range(2):  # the first call finds out the order in which layers are fetched ahead
        on_card.clear()
        with placement.encoders(loaded):
            loaded.pipe.encode_prompt("a red circle", None, loaded.device)
        assert 0 < max(len(names) for names in on_card) <= len(at_rest) // 3
    assert {name: weight.data_ptr() for name, weight in part.named_parameters()} == at_rest


def test_a_lora_of_a_part_that_streams_is_what_it_is_without_streams(
    model: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = lora_file(tmp_path, "sdxl", 1, targets={"unet": ["to_q"], "text_encoder_2": ["q_proj", "fc1"]})
    plain = loaded_with(model("sdxl"))
    engine, _ = placed(model("sdxl"), "group", monkeypatch)
    streamed = pipeline_in(engine)
    with host_as_card(monkeypatch):
        assert torch.equal(latents(streamed, [ref(made)]), latents(plain, [ref(made)]))
        assert torch.equal(latents(streamed), latents(plain))
    assert placement.in_effect(streamed.pipe) == {"offload": "group"}


@pytest.mark.parametrize(
    ("offload", "settings"),
    [
        ("model", {"quantize": "nf4"}),
        ("text_encoders", {"quantize_text": "nf4"}),
        ("sequential", {"quantize": "fp8_storage"}),
        ("group", {"quantize": "fp8_storage"}),
    ],
)
def test_what_is_quantised_and_may_be_offloaded_makes_pictures_batch_after_batch(
    model: Callable[[str], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    offload: str,
    settings: dict[str, object],
) -> None:
    """Others were loaded, read back as they were asked, and failed at the first batch; they are refused now."""
    assert impossible(preset_of(offload=offload, **settings), Facts(device="cuda")) is None
    engine, _ = placed(model("sdxl"), offload, monkeypatch, **settings)
    params = params_of("sdxl", steps=1)
    first, again = (pictures_of(engine, tmp_path, params, ["a red circle"])[0] for _ in range(2))
    assert (first == again).all()
