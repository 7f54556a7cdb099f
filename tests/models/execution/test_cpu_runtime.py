"""Frozen networks in OpenVINO: the same numbers, whatever the batch, or torch where that is not so."""

from __future__ import annotations

import sys

import pytest
import torch
from structlog.testing import capture_logs
from torch import Tensor, nn

from triptych.models.execution import cpu_runtime
from triptych.models.execution.cpu_runtime import CpuRuntime, OpenVinoModule
from triptych.schemas.errors import UsageError

pytest.importorskip("openvino")


class _Small(nn.Module):
    """Two outputs of a convolution, so that tuples are covered."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.conv = nn.Conv2d(3, 4, 3, stride=2)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return float [N, 4, h, w] and [N, 4] of images uint8 [N, H, W, 3]."""
        features = self.conv(images.permute(0, 3, 1, 2).float() / 255).relu()
        return features, features.mean((2, 3))


class _Resized(nn.Module):
    """A convolution over pictures of any size."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.conv = nn.Conv2d(3, 4, 3, stride=2, padding=1)

    def forward(self, images: Tensor) -> Tensor:
        """Return float [N, 4, H / 2, W / 2] of images float [N, 3, H, W]."""
        features: Tensor = self.conv(images).relu()
        return features


class _NotConvertible(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        """Return a tensor in a way that OpenVINO does not know."""
        values: Tensor = torch.linalg.svd(images.float().mean(0).mean(-1))[1]
        return values


def _images(count: int) -> Tensor:
    return torch.randint(0, 256, (count, 16, 20, 3), generator=torch.Generator().manual_seed(2), dtype=torch.uint8)


def test_a_network_computes_the_same_for_any_batch() -> None:
    """Each output equals torch's, and does not depend on the other rows."""
    network = _Small().eval()
    faster = CpuRuntime("openvino").accelerate("small", network, [_images(2)])
    assert isinstance(faster, OpenVinoModule)
    images = _images(5)
    with torch.inference_mode():
        expected, got = network(images), faster(images)
        alone = faster(images[3:4])
    for one, other in zip(expected, got, strict=True):
        torch.testing.assert_close(other, one, rtol=1e-5, atol=1e-5)
    for one, other in zip(got, alone, strict=True):
        assert torch.equal(one[3:4], other)


def test_one_conversion_serves_pictures_of_any_size() -> None:
    """A conversion takes seconds in a busy process, and feeds have pictures of many proportions."""
    network = _Resized().eval()
    faster = CpuRuntime("openvino").accelerate("small", network, [torch.rand(1, 3, 16, 20)], any_size=True)
    assert isinstance(faster, OpenVinoModule)
    for height, width in ((16, 20), (32, 8), (64, 96)):
        images = torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(3))
        with torch.inference_mode():
            torch.testing.assert_close(faster(images), network(images), rtol=1e-5, atol=1e-5)


def test_outputs_are_not_overwritten_by_the_next_call() -> None:
    """OpenVINO reuses its memory."""
    faster = CpuRuntime("openvino").accelerate("small", _Small().eval(), [_images(2)])
    first = faster(_images(1))[1]
    kept = first.clone()
    faster(255 - _images(1))
    assert torch.equal(first, kept)


def test_torch_is_kept_where_it_is_asked_for() -> None:
    """The network itself is returned."""
    network = _Small().eval()
    assert CpuRuntime("torch").accelerate("small", network, [_images(2)]) is network


def test_a_network_that_cannot_be_converted_stays_in_torch() -> None:
    """With `auto`, and the log says why; with `openvino` it is an error."""
    network = _NotConvertible().eval()
    with capture_logs() as logs:
        assert CpuRuntime("auto").accelerate("odd", network, [_images(2)]) is network
    assert [(entry["event"], entry["network"]) for entry in logs] == [("cpu_runtime_not_used", "odd")]
    with pytest.raises(Exception, match=r"."):
        CpuRuntime("openvino").accelerate("odd", network, [_images(2)])


def test_a_network_that_differs_stays_in_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """The outputs for seeded noise are compared with torch's, and a NaN is a difference."""
    network = _Small().eval()
    for wrong in (1.01, float("nan")):

        def differing(self: OpenVinoModule, images: Tensor, wrong: float = wrong) -> tuple[Tensor, ...]:
            del self
            return tuple(output * wrong for output in network(images))

        monkeypatch.setattr(OpenVinoModule, "forward", differing)
        with capture_logs() as logs:
            assert CpuRuntime("auto").accelerate("small", network, [_images(2)]) is network
        assert logs[0]["event"] == "cpu_runtime_not_used"
        assert "more than" in logs[0]["reason"]


def test_openvino_that_is_not_installed_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """`auto` uses torch then, and `openvino` says what to install."""
    monkeypatch.setattr(cpu_runtime, "find_spec", lambda _: None)
    network = _Small().eval()
    assert CpuRuntime("auto").accelerate("small", network, [_images(2)]) is network
    with pytest.raises(UsageError, match=r"install triptych\[cpu\]"):
        CpuRuntime("openvino").accelerate("small", network, [_images(2)])


def test_nothing_reports_its_use(monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenVINO's telemetry package is never called."""
    CpuRuntime("openvino").accelerate("small", _Small().eval(), [_images(2)])
    sent: list[object] = []
    for name, module in list(sys.modules.items()):
        if name.startswith("openvino_telemetry") and hasattr(module, "Telemetry"):
            monkeypatch.setattr(module.Telemetry, "send_event", lambda *args: sent.append(args))
            monkeypatch.setattr(module.Telemetry, "start_session", lambda *args: sent.append(args))
    CpuRuntime("openvino").accelerate("small", _Small().eval(), [_images(2)])
    assert not sent


def test_bfloat16_is_near() -> None:
    """It is not compared by the tolerance of float32, which it misses."""
    network = _Small().eval()
    faster = CpuRuntime("openvino", "bfloat16").accelerate("small", network, [_images(2)])
    with torch.inference_mode():
        expected, got = network(_images(4))[0].flatten(), faster(_images(4))[0].flatten()
    assert float(expected @ got / (expected.norm() * got.norm())) > 0.99
