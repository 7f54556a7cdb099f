"""Tests of `triptych.models.execution.device`."""

from __future__ import annotations

import pytest
import torch
from structlog.testing import capture_logs

from triptych.models.build import ModelChoice, build_model
from triptych.models.execution.device import choose_device, log_device, why_no_gpu
from triptych.schemas.errors import UsageError


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with PyTorch for CUDA and without a driver, whatever this one is."""

    def fail() -> None:
        raise RuntimeError("Found no NVIDIA driver on your system. Please check that you have an NVIDIA GPU.")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "init", fail)


def test_auto_selects_an_available_device() -> None:
    """A GPU is preferred over the CPU."""
    assert choose_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.parametrize("name", ["cuda:97", "gpu", "meta"])
def test_a_missing_device_is_a_usage_error(name: str) -> None:
    """The error message lists the possible values."""
    with pytest.raises(UsageError, match=r"auto|cpu"):
        choose_device(name)


@pytest.mark.usefixtures("no_gpu")
def test_a_gpu_that_was_asked_for_and_is_not_there_is_an_error_with_the_reason() -> None:
    """A worker that must run on a GPU ends."""
    with pytest.raises(UsageError, match=r"device 'cuda' does not exist \(Found no NVIDIA driver on your system\)"):
        choose_device("cuda")


@pytest.mark.usefixtures("no_gpu")
def test_a_build_without_cuda_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in the image `worker-cpu`."""
    monkeypatch.setattr(torch.version, "cuda", None)

    assert why_no_gpu() == f"PyTorch {torch.__version__} is built without CUDA"


@pytest.mark.usefixtures("no_gpu")
@pytest.mark.parametrize(
    ("setting", "expected"),
    [("auto", {"why_no_gpu": "Found no NVIDIA driver on your system"}), ("cpu", {})],
    ids=["a GPU was allowed", "the CPU was asked for"],
)
def test_a_model_says_on_which_device_it_runs(setting: str, expected: dict[str, str]) -> None:
    """And why not on a GPU, if the setting allowed one."""
    with capture_logs() as logs:
        build_model(ModelChoice("base", frames=2, window_ns=10**9, device=setting))

    chosen = [entry for entry in logs if entry["event"] == "device_chosen"]
    assert chosen == [
        {"event": "device_chosen", "log_level": "info", "device": "cpu", "setting": setting, **expected},
    ]


def test_a_gpu_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the name that its driver reports."""

    class Properties:
        name = "NVIDIA H200"

    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: Properties)

    with capture_logs() as logs:
        log_device(torch.device("cuda:1"), "cuda:1")

    assert logs == [
        {"event": "device_chosen", "log_level": "info", "device": "cuda:1", "setting": "cuda:1", "gpu": "NVIDIA H200"}
    ]
