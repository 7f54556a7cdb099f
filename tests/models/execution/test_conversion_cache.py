"""Converted networks are kept for the next start, and never used for another network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from structlog.testing import capture_logs

from tests.models.execution.scaled_network import ScaledNetwork
from triptych.models.execution import cpu_runtime
from triptych.models.execution.conversion_cache import CachedConversion, ConversionCache, Parts, conversion_key
from triptych.models.execution.cpu_runtime import CpuRuntime, FasterRuntime

KEY = {"network": "a"}


def _never() -> Parts:
    raise AssertionError("it is converted again")


def _cached(folder: Path | None) -> CachedConversion:
    return CachedConversion(ConversionCache(folder), "net-onnxruntime")


def test_a_conversion_is_kept(tmp_path: Path) -> None:
    """The next start reads what the first one wrote."""
    first, second = _cached(tmp_path / "new"), _cached(tmp_path / "new")
    assert first.parts(KEY, lambda: {"model": b"1", "weights": b"2"}) == {"model": b"1", "weights": b"2"}
    assert not first.was_found

    assert second.parts(KEY, _never) == {"model": b"1", "weights": b"2"}
    assert second.was_found


def test_another_network_replaces_it(tmp_path: Path) -> None:
    """There is one file for each name."""
    _cached(tmp_path).parts(KEY, lambda: {"model": b"1"})
    assert _cached(tmp_path).parts({"network": "b"}, lambda: {"model": b"2"}) == {"model": b"2"}
    assert _cached(tmp_path).parts({"network": "b"}, _never) == {"model": b"2"}
    assert [path.name for path in tmp_path.iterdir()] == ["net-onnxruntime.zip"]


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[:0],
        lambda content: content[: len(content) // 2],
        lambda content: content.replace(b"weights of the network", b"weights of the netw0rk"),
        lambda content: _with_directory_byte(content, 8, 1),
        lambda content: _with_directory_byte(content, 10, 255),
    ],
    ids=["empty", "cut", "changed", "encrypted", "of an unknown compression"],
)
def test_a_damaged_file_is_replaced(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    """As if there was none."""
    parts = {"model": b"weights of the network"}
    _cached(tmp_path).parts(KEY, lambda: parts)
    [path] = tmp_path.iterdir()
    path.write_bytes(damage(path.read_bytes()))

    assert _cached(tmp_path).parts(KEY, lambda: {"model": b"made again"}) == {"model": b"made again"}
    assert _cached(tmp_path).parts(KEY, _never) == {"model": b"made again"}


def _with_directory_byte(content: bytes, offset: int, value: int) -> bytes:
    """Return a ZIP file with another byte in each entry of its directory."""
    head, *entries = content.split(b"PK\x01\x02")
    at = offset - 4
    return b"PK\x01\x02".join([head, *(entry[:at] + bytes([value]) + entry[at + 1 :] for entry in entries)])


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    """Each start converts."""
    (tmp_path / "file").write_text("no folder")
    with capture_logs() as logs:
        assert _cached(tmp_path / "file" / "inner").parts(KEY, lambda: {"model": b"1"}) == {"model": b"1"}
    assert [entry["event"] for entry in logs] == ["conversion_not_kept"]


def test_the_key_depends_on_the_weights_and_the_shapes() -> None:
    """Not on the size of the batch."""
    network, images = ScaledNetwork(), torch.zeros(2, 3, 16, 20)
    key = conversion_key(network, [images], any_size=False)
    assert conversion_key(ScaledNetwork(), [torch.zeros(5, 3, 16, 20)], any_size=False) == key
    assert conversion_key(network, [torch.zeros(2, 3, 16, 24)], any_size=False) != key
    assert conversion_key(network, [images], any_size=True) != key
    with torch.no_grad():
        network.conv.bias += 1  # type: ignore[operator]
    assert conversion_key(network, [images], any_size=False) != key


@pytest.mark.parametrize("runtime", ["openvino", "onnxruntime"])
def test_the_next_start_converts_nothing(
    runtime: FasterRuntime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And computes the same."""
    pytest.importorskip(runtime)
    network, images = ScaledNetwork().eval(), torch.rand(2, 3, 16, 20)
    CpuRuntime(runtime, cache=ConversionCache(tmp_path)).accelerate("net", network, [images])
    monkeypatch.setattr(cpu_runtime, "_openvino_parts", lambda *_, **__: _never())
    monkeypatch.setattr(cpu_runtime, "export_onnx", lambda *_, **__: _never())

    faster = CpuRuntime(runtime, cache=ConversionCache(tmp_path)).accelerate("net", network, [images])
    assert faster is not network
    torch.testing.assert_close(faster(images), network(images), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("runtime", ["openvino", "onnxruntime"])
def test_code_that_changed_is_converted_again(runtime: FasterRuntime, tmp_path: Path) -> None:
    """The key is the same, but the outputs differ from torch."""
    pytest.importorskip(runtime)
    images = torch.rand(2, 3, 16, 20)
    CpuRuntime(runtime, cache=ConversionCache(tmp_path)).accelerate("net", ScaledNetwork().eval(), [images])
    changed = ScaledNetwork(factor=2).eval()

    faster = CpuRuntime(runtime, cache=ConversionCache(tmp_path)).accelerate("net", changed, [images])
    assert faster is not changed
    torch.testing.assert_close(faster(images), changed(images), rtol=1e-4, atol=1e-5)
