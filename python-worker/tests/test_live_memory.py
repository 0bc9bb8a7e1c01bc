"""The count that formulas are held against must itself be right."""

import json
from pathlib import Path

import pytest
import torch

from tests.full_size import ARCHITECTURES, parameters_of, peaks_of
from tests.live_storages import LiveStorages

RECORD = Path(__file__).parents[2] / "test" / "fixtures" / "memory" / "full-size.json"


def test_a_storage_counts_once_and_for_as_long_as_anything_looks_at_it() -> None:
    with torch.no_grad(), LiveStorages("cpu") as count:
        whole = torch.ones(1000)
        part = whole.view(10, 100)[3:]
        assert count.live == 4000
        del whole
        assert count.live == 4000
        del part
        assert count.live == 0
    assert count.peak == 4000


def test_a_result_is_alive_beside_what_it_was_made_of() -> None:
    layer = torch.nn.Linear(100, 100, bias=False)
    with torch.no_grad(), LiveStorages("cpu") as count:
        count.adopt(layer.parameters())
        assert count.take_peak() == 40_000
        states = torch.ones(10, 100)
        states = layer(states)
        assert count.live == 44_000
        assert count.take_peak() == 48_000
        assert count.take_peak() == 44_000
        assert states.shape == (10, 100)


def test_a_storage_that_grows_counts_what_it_grew_to() -> None:
    with torch.no_grad(), LiveStorages("cpu") as count:
        one = torch.empty(10)
        one.resize_(100)
        assert count.live == 400


def test_tensors_of_another_device_do_not_count() -> None:
    with torch.no_grad(), LiveStorages("cpu") as count:
        elsewhere = torch.ones(1000, device="meta")
        assert count.live == 0
        assert elsewhere.is_meta


def test_the_operation_that_goes_over_the_limit_fails_as_on_a_device() -> None:
    with torch.no_grad(), LiveStorages("cpu", limit=9_000):
        one, two = torch.ones(1000), torch.ones(1000)
        with pytest.raises(torch.OutOfMemoryError, match="12000 bytes are live, and the limit is 9000"):
            torch.add(one, two)


@pytest.mark.parametrize(("name", "millions"), [("sd", 859.52), ("sdxl", 2567.46), ("flux", 11901.41)])
def test_the_full_size_architectures_have_the_published_parameters(name: str, millions: float) -> None:
    recorded = json.loads(RECORD.read_text(encoding="utf-8"))["parameters"][name]
    assert recorded["denoiser"] / 1e6 == pytest.approx(millions, abs=0.005)
    if name == "sd":  # the others take seconds to build
        assert parameters_of(ARCHITECTURES[name].denoiser) == recorded["denoiser"]


def test_the_record_is_what_the_classes_of_today_take() -> None:
    recorded = json.loads(RECORD.read_text(encoding="utf-8"))["peaks"]
    case = {"model": "sd", "dtype": "float16", "width": 512, "height": 512, "rows": 2}
    (known,) = [peaks for peaks in recorded if case.items() <= peaks.items()]
    found = peaks_of(ARCHITECTURES["sd"], torch.float16, (512, 512), 2)
    assert {**case, "denoise": found.denoise, "decode": found.decode} == {
        **case,
        "denoise": known["denoise"],
        "decode": known["decode"],
    }
    assert (found.decode_tiled, found.encode) == (known["decode_tiled"], known["encode"])
