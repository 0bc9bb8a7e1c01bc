"""What a CPU leaves out for small pictures, and that it is back afterwards."""

import pytest
import torch

from kilnwatt_worker.diffusers_engine.cpu import FEW, lean


@pytest.mark.parametrize(("latents", "with_onednn"), [(FEW, False), (FEW + 1, True)])
def test_on_a_cpu_nothing_is_kept_for_gradients_and_few_latents_go_without_onednn(
    latents: int, with_onednn: bool
) -> None:
    before = torch.backends.mkldnn.enabled
    with lean(torch.device("cpu"), latents):
        assert torch.is_inference_mode_enabled()
        assert torch.backends.mkldnn.enabled == (with_onednn and before)
    assert not torch.is_inference_mode_enabled()
    assert torch.backends.mkldnn.enabled == before


def test_what_the_user_has_switched_off_stays_off() -> None:
    torch.backends.mkldnn.set_flags(_enabled=False, _fp32_precision=None)  # type: ignore[no-untyped-call]
    try:
        with lean(torch.device("cpu"), FEW + 1):
            assert not torch.backends.mkldnn.enabled
        assert not torch.backends.mkldnn.enabled
    finally:
        torch.backends.mkldnn.set_flags(_enabled=True, _fp32_precision=None)  # type: ignore[no-untyped-call]


def test_a_card_works_as_ever() -> None:
    with lean(torch.device("cuda"), FEW):
        assert not torch.is_inference_mode_enabled()
        assert torch.backends.mkldnn.enabled


def test_all_is_back_after_an_error() -> None:
    with pytest.raises(RuntimeError, match="broke"), lean(torch.device("cpu"), FEW):
        raise RuntimeError("broke")
    assert not torch.is_inference_mode_enabled()
    assert torch.backends.mkldnn.enabled
