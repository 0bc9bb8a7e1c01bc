"""LoRAs on real pipelines, against weights that the same LoRAs were merged into."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers.hooks import apply_group_offloading
from safetensors.torch import load_file, save_file

from kilnwatt_worker.diffusers_engine import lora
from kilnwatt_worker.diffusers_engine.engine import DiffusersEngine
from kilnwatt_worker.diffusers_engine.pipeline import LoadedPipeline
from kilnwatt_worker.errors import OutOfMemory
from kilnwatt_worker.parts import Level, LoraRef
from tests.lora_batches import TOLERANCE, apart, latents, loaded_of, merged, ref, refused
from tests.lora_files import Lora, lora_file, merge
from tests.samples import PARAMS, Recorder, generate_of, item, load_of

FAMILIES = ["sd", "sdxl", "flux"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, int], Lora]:
    """The LoRA of a family and a number; of odd numbers the scale is not 1, of even ones the names are the old ones."""
    folder = tmp_path_factory.mktemp("loras")
    files: dict[tuple[str, int], Lora] = {}

    def ensure(family: str, number: int) -> Lora:
        if (family, number) not in files:
            odd = number % 2 == 1
            files[family, number] = lora_file(
                folder, family, number, rank=2 + number, alpha=8 if odd else 2 + number, old_names=not odd
            )
        return files[family, number]

    return ensure


def kept(loaded: LoadedPipeline) -> list[str]:
    return [Path(path).stem for path, *_ in loaded.loras.kept]


@pytest.mark.parametrize("family", FAMILIES)
def test_loras_change_a_picture_as_weights_that_they_are_merged_into_and_leave_the_base_as_it_was(
    model: Callable[[str], Path], made: Callable[[str, int], Lora], family: str
) -> None:
    path, first, second = model(family), made(family, 1), made(family, 2)
    loaded = loaded_of(path)
    base = latents(loaded)
    asked = {
        "one": [(first, 1.0)],
        "the other": [(second, 0.75)],
        "both": [(first, 0.5), (second, 1.25)],
        "negative": [(first, -0.5)],
    }
    for name, loras in asked.items():
        found = latents(loaded, [ref(*one) for one in loras])
        wanted = merged(path, *loras)
        assert apart(wanted, base) > 10 * TOLERANCE, name
        assert apart(found, wanted) < TOLERANCE, name
        assert torch.equal(latents(loaded), base), name


def test_loras_swapped_from_batch_to_batch_are_each_as_alone(
    model: Callable[[str], Path], made: Callable[[str, int], Lora]
) -> None:
    path, both = model("sdxl"), (made("sdxl", 1), made("sdxl", 2))
    alone = [latents(loaded_of(path), [ref(one)]) for one in both]
    loaded = loaded_of(path)
    for _ in range(3):
        for one, wanted in zip(both, alone, strict=True):
            assert torch.equal(latents(loaded, [ref(one)]), wanted)


def test_a_file_is_loaded_once_and_those_that_were_used_longest_ago_leave(
    model: Callable[[str], Path], made: Callable[[str, int], Lora], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lora, "MOST_IDLE", 1)
    loaded = loaded_of(model("sd"))
    one, two, three = (ref(made("sd", number)) for number in (1, 2, 3))
    before = latents(loaded, [one])
    for loras in ([two], [one], [three]):
        latents(loaded, loras)
    assert loaded.pipe.get_list_adapters() == {
        "unet": ["kiln000001", "kiln000003"],
        "text_encoder": ["kiln000001", "kiln000003"],
    }
    assert kept(loaded) == ["sd-1", "sd-3"]
    latents(loaded, [one, two, three])
    assert len(loaded.loras.kept) == 3
    assert torch.equal(latents(loaded, [one]), before)
    assert kept(loaded) == ["sd-3", "sd-1"]


def test_loras_that_no_batch_uses_hold_few_bytes_and_none_once_memory_ran_out(
    model: Callable[[str], Path], made: Callable[[str, int], Lora], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Eight large ones held 3 GB of a card, which no fit test knew of."""
    engine = DiffusersEngine()
    engine.load(load_of(model("sd")), lambda _level, _message: None)
    loaded = engine._loaded
    assert loaded is not None
    one, two, three = (ref(made("sd", number)) for number in (1, 2, 3))
    lora.use(loaded, [one], lambda _level, _message: None)
    [first] = loaded.loras.kept.values()
    assert first.size == sum(
        tensor.nbytes for name, tensor in loaded.pipe.unet.named_parameters() if "lora_" in name
    ) + sum(tensor.nbytes for name, tensor in loaded.pipe.text_encoder.named_parameters() if "lora_" in name)
    monkeypatch.setattr(lora, "MOST_IDLE_BYTES", 2 * first.size)
    for loras in ([two], [three]):
        lora.use(loaded, loras, lambda _level, _message: None)
    assert kept(loaded) == ["sd-2", "sd-3"], "both together are larger than the room for idle ones"

    def full(*_: object) -> None:
        raise torch.OutOfMemoryError

    loaded.pipe.unet.register_forward_pre_hook(full)
    wanted = generate_of([item(0)], replace(PARAMS, loras=(three,)))
    with pytest.raises(OutOfMemory):
        engine.generate(wanted, Recorder(wanted))
    assert kept(loaded) == ["sd-3"]
    assert loaded.pipe.get_list_adapters()["unet"] == ["kiln000003"]


def test_a_file_that_was_replaced_is_read_again(
    model: Callable[[str], Path], made: Callable[[str, int], Lora], tmp_path: Path
) -> None:
    loaded = loaded_of(model("sd"))
    file = tmp_path / "ink.safetensors"
    found = []
    for number in (1, 2):
        file.write_bytes(made("sd", number).path.read_bytes())
        found.append(latents(loaded, [LoraRef("ink", str(file), 1.0)]))
    assert torch.equal(found[1], latents(loaded, [ref(made("sd", 2))]))
    assert not torch.equal(*found)


def test_what_changes_embeddings_is_told_for_the_prompt_cache(
    model: Callable[[str], Path], made: Callable[[str, int], Lora], tmp_path: Path
) -> None:
    loaded = loaded_of(model("sd"))
    quiet = ref(lora_file(tmp_path, "sd", 5, targets={"unet": ["to_q"]}))
    keys = []
    for loras in ([], [quiet], [ref(made("sd", 1), 0.5)], [ref(made("sd", 1), 0.7), quiet]):
        lora.use(loaded, loras, lambda _level, _message: None)
        keys.append(lora.text_key(loaded))
    assert [[weight for _, weight in key] for key in keys] == [[], [], [0.5], [0.7]]


def test_names_from_before_transformers_5_are_found(
    model: Callable[[str], Path], made: Callable[[str, int], Lora], tmp_path: Path
) -> None:
    """Nearly every published LoRA of a text encoder has them, and none of its tensors would have been applied."""
    tensors = load_file(made("sd", 2).path)
    old = {key.replace("text_encoder.", "text_encoder.text_model."): tensor for key, tensor in tensors.items()}
    assert old.keys() != tensors.keys()
    save_file(old, tmp_path / "old.safetensors")
    loaded = loaded_of(model("sd"))
    wanted = latents(loaded, [ref(made("sd", 2))])
    assert torch.equal(latents(loaded, [LoraRef("old", str(tmp_path / "old.safetensors"), 1.0)]), wanted)


def test_half_precision_takes_loras_in_its_own_precision(
    model: Callable[[str], Path], made: Callable[[str, int], Lora]
) -> None:
    loaded = loaded_of(model("sd"), dtype="bfloat16")
    latents(loaded, [ref(made("sd", 1))])
    for part in (loaded.pipe.unet, loaded.pipe.text_encoder):
        assert {tensor.dtype for name, tensor in part.named_parameters() if "lora_" in name} == {torch.bfloat16}


def test_weights_that_are_stored_in_eight_bits_take_loras_in_the_precision_that_is_computed_in(
    model: Callable[[str], Path], made: Callable[[str, int], Lora]
) -> None:
    """A LoRA was given the eight bits of its layer, and nothing could be computed with it."""

    loaded, reference = loaded_of(model("sd")), loaded_of(model("sd"))
    loaded.pipe.unet.enable_layerwise_casting(storage_dtype=torch.float8_e4m3fn, compute_dtype=torch.float32)
    rounded = {name: tensor.float() for name, tensor in loaded.pipe.unet.state_dict().items()}
    reference.pipe.unet.load_state_dict(rounded)
    merge(reference.pipe, [(made("sd", 1), 1.0)])
    assert apart(latents(loaded, [ref(made("sd", 1))]), latents(reference)) < TOLERANCE


class OneStream:
    """The host's only one, in place of a card's."""

    def synchronize(self) -> None:
        """Nothing runs beside anything."""


def let_the_host_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    """What diffusers asks of a card before it streams blocks; the host stands in for it."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "Stream", OneStream)
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda: torch.device("cpu"))
    monkeypatch.setattr(torch.cpu, "stream", lambda _stream: nullcontext())
    monkeypatch.setattr(torch.cpu, "current_stream", OneStream)
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: tensor.clone())


@pytest.mark.parametrize("rank", [0, 8])
def test_weights_in_eight_bits_that_are_streamed_take_loras_in_the_precision_that_is_computed_in(
    model: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rank: int
) -> None:
    """Streaming keeps a copy of each weight on the host, and brought a LoRA back in the eight bits of its layer."""
    ink = lora_file(tmp_path, "flux", 9, targets={"transformer": ["to_q", "proj_mlp"]})
    resident, streamed = (loaded_of(model("flux"), quantize="fp8_storage", lora_rank=rank) for _ in range(2))
    let_the_host_stream(monkeypatch)
    apply_group_offloading(
        streamed.pipe.transformer,
        onload_device=torch.device("cpu"),
        offload_type="block_level",
        num_blocks_per_group=1,
        use_stream=True,
    )
    for loras in ([], [ref(ink)], [ref(ink, 0.5)], []):
        assert torch.equal(latents(streamed, loras), latents(resident, loras))


def test_a_file_that_cannot_be_used_is_refused_with_its_own_sentence_and_nothing_is_in_effect(
    model: Callable[[str], Path], made: Callable[[str, int], Lora], tmp_path: Path
) -> None:
    loaded = loaded_of(model("sd"))
    base = latents(loaded)
    good = made("sd", 1)
    tensors = load_file(good.path)

    def written(name: str, content: bytes) -> LoraRef:
        (tmp_path / name).write_bytes(content)
        return LoraRef(name, str(tmp_path / name), 1.0)

    def saved(name: str, changed: dict[str, torch.Tensor]) -> LoraRef:
        save_file(changed, tmp_path / name)
        return LoraRef(name, str(tmp_path / name), 1.0)

    key = next(key for key in tensors if key.endswith(".lora_A.weight"))
    module = key.removesuffix(".lora_A.weight")
    cases = [
        (LoraRef("none", str(tmp_path / "none.safetensors"), 1.0), "lora_missing", "cannot be read (No such file"),
        (written("cut.safetensors", good.path.read_bytes()[:-100]), "lora_broken", "is cut short or no safetensors"),
        (written("short.safetensors", b"abc"), "lora_broken", "is cut short or no safetensors"),
        (written("ink.ckpt", b"\x80\x02}q\x00."), "lora_unsafe", "is a pickle, which may run any program"),
        (written("ink.safetensors", b"\x80\x02}q\x00.and more"), "lora_unsafe", "is a pickle"),
        (saved("empty.safetensors", {}), "bad_request", "holds no tensors"),
        (
            saved("kohya.safetensors", {f"lora_unet_{at}": tensor for at, tensor in enumerate(tensors.values())}),
            "bad_request",
            f"{len(tensors)} of its {len(tensors)} tensors belong to no layer of this StableDiffusionPipeline, "
            "the first is lora_unet_0;",
        ),
        (
            saved("dora.safetensors", {**tensors, f"{module}.lora_magnitude_vector": torch.ones(16)}),
            "bad_request",
            f"1 of its {len(tensors) + 1} tensors belong to no layer",
        ),
        (
            saved("half.safetensors", {name: tensor for name, tensor in tensors.items() if name != key}),
            "bad_request",
            f"the first is {module}.lora_B.weight",
        ),
        (
            saved("wide.safetensors", {**tensors, key: torch.ones(3, 99)}),
            "bad_request",
            f"was made for another model: its tensors for {module} have the shapes (3, 99)",
        ),
        (ref(made("flux", 1)), "bad_request", "belong to no layer of this StableDiffusionPipeline"),
    ]
    for lora_ref, code, sentence in cases:
        latents(loaded, [ref(good)])
        found = refused(loaded, ref(good), lora_ref)
        assert found[0] == code, lora_ref
        assert sentence in found[1], lora_ref
        assert lora_ref.path in found[1]
        assert torch.equal(latents(loaded), base), lora_ref
    assert refused(loaded, ref(good), ref(good, 0.5))[1].endswith("name it once, with the sum of the weights")


def test_a_pipeline_without_a_loader_and_one_with_fused_attention_take_no_loras(
    model: Callable[[str], Path], made: Callable[[str, int], Lora]
) -> None:
    loaded = loaded_of(model("sd"), fused_qkv=True)
    code, sentence = refused(loaded, ref(made("sd", 1)))
    assert (code, "fused_qkv=true cannot hold with LoRAs" in sentence) == ("preset_impossible", True)
    without = loaded_of(model("sd"), compile="tensorrt")
    lora.use(without, [ref(made("sd", 1))], lambda _level, _message: None)
    assert without.settings["compile"] == "none", "what was not to be had stands in no LoRA's way"
    code, sentence = refused(replace(without, downgrades=()), ref(made("sd", 2)))
    assert (code, "compile=tensorrt cannot hold with LoRAs" in sentence) == ("preset_impossible", True)
    pipe_class = type("Bare", (), {"unet": loaded.pipe.unet})
    loaded = LoadedPipeline(pipe_class(), "other", *(getattr(loaded, name) for name in list(loaded.__slots__)[2:-1]))
    assert refused(loaded, ref(made("sd", 1))) == ("bad_request", "a Bare takes no LoRAs; leave them out")


def test_logs_say_nothing_where_all_is_well(model: Callable[[str], Path], made: Callable[[str, int], Lora]) -> None:
    logs: list[tuple[Level, str]] = []
    lora.use(loaded_of(model("sd")), [ref(made("sd", 1))], lambda level, message: logs.append((level, message)))
    assert logs == []
