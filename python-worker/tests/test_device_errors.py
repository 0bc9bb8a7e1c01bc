"""What is raised when a device gives up, and the code that the orchestrator hears."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from kilnwatt_worker.diffusers_engine.device_errors import device_told, trial_error
from kilnwatt_worker.errors import WorkerError, internal
from tests.techniques import loaded_with

OF_MEMORY: list[Exception] = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    torch.AcceleratorError("CUDA error: out of memory"),
    RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    RuntimeError("GET was unable to find an engine to execute this computation: Unable to find an engine to execute"),
    RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"),
    RuntimeError("could not create a primitive"),
    MemoryError(),
]
OF_DEVICE: list[Exception] = [
    torch.AcceleratorError("CUDA error: an illegal memory access was encountered"),
    torch.AcceleratorError("the launch timed out and was terminated"),
    RuntimeError("CUDA error: unspecified launch failure"),
    RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"),
    RuntimeError("CUDNN_STATUS_INTERNAL_ERROR"),
]
OF_OTHERS: list[Exception] = [
    RuntimeError("mat1 and mat2 shapes cannot be multiplied"),
    RuntimeError("could not create a primitive descriptor for a convolution"),
    ValueError("CUDA error"),
]
TABLE = [
    *((error, "out_of_memory", True) for error in OF_MEMORY),
    *((error, "device_lost", True) for error in OF_DEVICE),
    *((error, "internal", False) for error in OF_OTHERS),
]


@pytest.mark.parametrize(("error", "code", "retryable"), TABLE, ids=[str(error)[:40] for error, _, _ in TABLE])
def test_what_a_device_raises_is_told_by_its_code(error: Exception, code: str, retryable: bool) -> None:
    with pytest.raises(Exception) as raised, device_told("denoising"):  # noqa: PT011  any of the three
        raise error
    told = internal(raised.value)
    assert (told.code, told.retryable) == (code, retryable)


def test_the_sentence_says_when_and_the_driver_says_why() -> None:
    with pytest.raises(WorkerError) as raised, device_told("decoding a picture"):
        raise RuntimeError("CUDA error: unspecified launch failure\nFor debugging consider a longer story")
    assert raised.value.message == ("the GPU was lost while decoding a picture: CUDA error: unspecified launch failure")


def test_an_error_that_was_named_already_keeps_its_name() -> None:
    with pytest.raises(WorkerError, match="no such thing"), device_told("encoding"):
        raise WorkerError("bad_request", "no such thing")


@pytest.mark.parametrize(
    "text",
    [
        "CUDA error: no kernel image is available for execution on the device",
        "CUDA error: operation not supported",
        "cuDNN error: CUDNN_STATUS_NOT_SUPPORTED",
    ],
)
def test_a_kernel_that_was_not_built_for_the_card_is_found_out_by_a_trial_and_loses_nothing(text: str) -> None:
    """A worker died of it at each load, for ever, where the preset can be refused."""
    assert trial_error(torch.AcceleratorError(text), "trying out a kernel") is None


@pytest.mark.parametrize("error", [OF_MEMORY[0], OF_MEMORY[3], OF_DEVICE[0], OF_DEVICE[3]], ids=str)
def test_a_device_that_is_lost_or_full_is_so_in_a_trial_too(error: Exception) -> None:
    assert isinstance(trial_error(error, "trying out a kernel"), WorkerError)


def test_attention_that_has_no_kernel_for_the_card_is_refused_by_name(
    model: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def unbuilt(*_: object, **__: object) -> None:
        raise torch.AcceleratorError("CUDA error: no kernel image is available for execution on the device\nmore")

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", unbuilt)
    with pytest.raises(WorkerError, match=r"attention=sdpa_math .*no kernel image is available") as refused:
        loaded_with(model("sd"), attention="sdpa_math")
    assert refused.value.code == "preset_impossible"
