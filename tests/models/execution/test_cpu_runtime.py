"""Frozen networks in OpenVINO and ONNX Runtime: the same numbers, whatever the batch, or torch where that is not so."""

from __future__ import annotations

import sys

import pytest
import torch
from structlog.testing import capture_logs
from torch import Tensor, nn

from triptych.models.execution import cpu_runtime
from triptych.models.execution.cpu_runtime import CpuRuntime, FasterRuntime, OpenVinoModule, fastest_of
from triptych.models.execution.onnx_runtime import OnnxModule
from triptych.schemas.errors import UsageError

pytest.importorskip("openvino")
pytest.importorskip("onnxruntime")

MODULES: dict[FasterRuntime, type[nn.Module]] = {"openvino": OpenVinoModule, "onnxruntime": OnnxModule}


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


def _only(runtime: FasterRuntime, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no other runtime be installed."""
    found = cpu_runtime.find_spec
    others = {name for name in MODULES if name != runtime}
    monkeypatch.setattr(cpu_runtime, "find_spec", lambda name: None if name in others else found(name))


@pytest.mark.parametrize("runtime", MODULES)
def test_a_network_computes_the_same_for_any_batch(runtime: FasterRuntime) -> None:
    """Each output equals torch's, and does not depend on the other rows."""
    network = _Small().eval()
    faster = CpuRuntime(runtime).accelerate("small", network, [_images(2)])
    assert isinstance(faster, MODULES[runtime])
    images = _images(5)
    with torch.inference_mode():
        expected, got = network(images), faster(images)
        alone = faster(images[3:4])
    for one, other in zip(expected, got, strict=True):
        torch.testing.assert_close(other, one, rtol=1e-5, atol=1e-5)
    for one, other in zip(got, alone, strict=True):
        assert torch.equal(one[3:4], other)


@pytest.mark.parametrize("runtime", MODULES)
def test_one_conversion_serves_pictures_of_any_size(runtime: FasterRuntime) -> None:
    """A conversion takes seconds in a busy process, and feeds have pictures of many proportions."""
    network = _Resized().eval()
    faster = CpuRuntime(runtime).accelerate("small", network, [torch.rand(1, 3, 16, 20)], any_size=True)
    assert isinstance(faster, MODULES[runtime])
    for height, width in ((16, 20), (32, 8), (64, 96)):
        images = torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(3))
        with torch.inference_mode():
            torch.testing.assert_close(faster(images), network(images), rtol=1e-5, atol=1e-5)


class _FixedSize(nn.Module):
    """Traced, it pads for the size of the example, whatever the size of the picture."""

    def forward(self, images: Tensor) -> Tensor:
        """Return the sums over the rows of images float [N, 3, H, W], times the width that was traced."""
        return images.sum(2) * float(images.shape[3])


@pytest.mark.parametrize("runtime", MODULES)
def test_a_network_that_is_exact_for_one_size_only_stays_in_torch(
    runtime: FasterRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A conversion for any size is compared with torch at another size as well."""
    _only(runtime, monkeypatch)
    network = _FixedSize().eval()
    with capture_logs() as logs:
        assert CpuRuntime("auto").accelerate("fixed", network, [torch.rand(1, 3, 16, 20)], any_size=True) is network
    assert "more than" in logs[0]["reason"]


@pytest.mark.parametrize("runtime", MODULES)
def test_outputs_are_not_overwritten_by_the_next_call(runtime: FasterRuntime) -> None:
    """OpenVINO reuses its memory."""
    faster = CpuRuntime(runtime).accelerate("small", _Small().eval(), [_images(2)])
    first = faster(_images(1))[1]
    kept = first.clone()
    faster(255 - _images(1))
    assert torch.equal(first, kept)


def test_torch_is_kept_where_it_is_asked_for() -> None:
    """The network itself is returned."""
    network = _Small().eval()
    assert CpuRuntime("torch").accelerate("small", network, [_images(2)]) is network


@pytest.mark.parametrize("runtime", MODULES)
def test_a_network_that_cannot_be_converted_stays_in_torch(
    runtime: FasterRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With `auto`, and the log says why; where a runtime is asked for it is an error."""
    _only(runtime, monkeypatch)
    network = _NotConvertible().eval()
    with capture_logs() as logs:
        assert CpuRuntime("auto").accelerate("odd", network, [_images(2)]) is network
    assert [(e["event"], e["network"], e["runtime"]) for e in logs] == [("cpu_runtime_not_used", "odd", runtime)]
    with pytest.raises(Exception, match=r"."):
        CpuRuntime(runtime).accelerate("odd", network, [_images(2)])


@pytest.mark.parametrize("runtime", MODULES)
@pytest.mark.parametrize("asked", ["auto", "named"])
def test_a_network_that_a_runtime_cannot_run_stays_in_torch(
    runtime: FasterRuntime, asked: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ONNX Runtime converts the detector of objects, and on some machines rejects its smallest shapes when it runs."""
    _only(runtime, monkeypatch)

    def rejecting(self: nn.Module, images: Tensor) -> Tensor:
        del self
        raise RuntimeError(f"Invalid input shape: {tuple(images.shape)}")

    monkeypatch.setattr(MODULES[runtime], "forward", rejecting)
    network = _Small().eval()
    with capture_logs() as logs:
        assert CpuRuntime(runtime if asked == "named" else "auto").accelerate("small", network, [_images(2)]) is network
    assert [(e["event"], e["runtime"]) for e in logs] == [("cpu_runtime_not_used", runtime)]


@pytest.mark.parametrize("runtime", MODULES)
def test_a_network_that_differs_stays_in_torch(runtime: FasterRuntime, monkeypatch: pytest.MonkeyPatch) -> None:
    """The outputs for seeded noise are compared with torch's, and a NaN in any output is a difference."""
    _only(runtime, monkeypatch)
    network = _Small().eval()
    for wrong in ((1.01, 1.01), (float("nan"), 1), (1, float("nan"))):

        def differing(self: nn.Module, images: Tensor, wrong: tuple[float, ...] = wrong) -> tuple[Tensor, ...]:
            del self
            return tuple(output * factor for output, factor in zip(network(images), wrong, strict=True))

        monkeypatch.setattr(MODULES[runtime], "forward", differing)
        with capture_logs() as logs:
            assert CpuRuntime("auto").accelerate("small", network, [_images(2)]) is network
        assert logs[0]["event"] == "cpu_runtime_not_used"
        assert "more than" in logs[0]["reason"]


@pytest.mark.parametrize(("runtime", "extra"), [("openvino", "cpu"), ("onnxruntime", "onnx")])
def test_a_runtime_that_is_not_installed_is_said(
    runtime: FasterRuntime, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`auto` uses torch then, and a runtime that is asked for says what to install."""
    monkeypatch.setattr(cpu_runtime, "find_spec", lambda _: None)
    network = _Small().eval()
    assert CpuRuntime("auto").accelerate("small", network, [_images(2)]) is network
    with pytest.raises(UsageError, match=rf"install triptych\[{extra}\]"):
        CpuRuntime(runtime).accelerate("small", network, [_images(2)])


@pytest.mark.parametrize(
    ("took_ms", "chosen"),
    [
        ({"openvino": 5.0, "onnxruntime": 10.0, "torch": 20.0}, OpenVinoModule),
        ({"openvino": 10.0, "onnxruntime": 8.0, "torch": 20.0}, OnnxModule),
        ({"openvino": 10.0, "onnxruntime": 9.5, "torch": 20.0}, OpenVinoModule),  # not clearly faster
        ({"openvino": 10.0, "onnxruntime": 9.5, "torch": 5.0}, _Small),
    ],
)
def test_auto_chooses_the_fastest_of_the_exact_ones(
    took_ms: dict[str, float], chosen: type[nn.Module], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The measurement decides, and the log has it."""
    monkeypatch.setattr(cpu_runtime, "measured_ms", lambda modules, _: {name: took_ms[name] for name in modules})
    with capture_logs() as logs:
        faster = CpuRuntime("auto").accelerate("small", _Small().eval(), [_images(2)])
    assert isinstance(faster, chosen)
    assert logs[-1]["took_ms"] == took_ms


def test_the_time_of_each_module_is_measured() -> None:
    """The least of several runs; a slow module takes longer than one that returns its input."""

    class Slow(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            """Return the images, after some work."""
            for _ in range(200):
                images.float().sort()
            return images

    took_ms = cpu_runtime.measured_ms({"slow": Slow(), "quick": nn.Identity()}, [_images(8)])
    assert list(took_ms) == ["slow", "quick"]
    assert took_ms["slow"] > took_ms["quick"]
    assert fastest_of(took_ms) == "quick"


def test_a_runtime_without_the_precision_is_refused() -> None:
    """ONNX Runtime computes in float32 on CPUs. With `auto`, only OpenVINO is tried."""
    with pytest.raises(UsageError, match="openvino or auto"):
        CpuRuntime("onnxruntime", "bfloat16").accelerate("small", _Small().eval(), [_images(2)])
    assert CpuRuntime("auto", "bfloat16").candidates == ("openvino",)


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
