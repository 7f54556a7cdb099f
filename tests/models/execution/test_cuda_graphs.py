"""CUDA graphs by shape. The recording itself needs a GPU (`make bench-gpu`); what is done with it does not."""

from __future__ import annotations

import pytest
import torch
from structlog.testing import capture_logs
from torch import Tensor, nn

from triptych.models.execution import cuda_graphs
from triptych.models.execution.cuda_graphs import GraphedNetwork, RunGraphed, record_cuda_graph


class _Recorder:
    """Records a network by keeping it, as often as it is asked to."""

    def __init__(self, *, factor: float = 1.0, error: Exception | None = None) -> None:
        self.shapes: list[tuple[int, ...]] = []
        self.runs = 0
        self._factor = factor
        self._error = error

    def __call__(self, network: nn.Module, example: Tensor) -> RunGraphed:
        self.shapes.append(tuple(example.shape))
        if self._error is not None:
            raise self._error

        def run(inputs: Tensor) -> Tensor:
            assert inputs.shape == example.shape
            self.runs += 1
            output: Tensor = network(inputs) * self._factor
            return output

        return run


def _network() -> nn.Module:
    torch.manual_seed(1)
    return nn.Linear(4, 3).eval()


@torch.inference_mode()
def test_each_shape_is_recorded_once() -> None:
    """And runs as recorded from then on."""
    recorder, network = _Recorder(), _network()
    graphed = GraphedNetwork("small", network, recorder)
    for rows in (2, 8, 2, 2, 8):
        inputs = torch.rand(rows, 4)
        assert torch.equal(graphed(inputs), network(inputs))
    assert recorder.shapes == [(2, 4), (8, 4)]
    assert recorder.runs == 5 + 2  # each recording is compared with the network


@pytest.mark.parametrize("factor", [1.5, float("nan")])
@torch.inference_mode()
def test_a_recording_that_differs_is_not_used(factor: float) -> None:
    """The log says by how much."""
    network = _network()
    graphed = GraphedNetwork("small", network, _Recorder(factor=factor))
    inputs = torch.rand(2, 4)
    with capture_logs() as logs:
        for _ in range(2):
            assert torch.equal(graphed(inputs), network(inputs))
    assert [entry["event"] for entry in logs] == ["cuda_graph_not_used"]
    assert "more than" in logs[0]["reason"]


def _record_nothing(network: nn.Module, example: Tensor) -> RunGraphed:
    """Return what a graph without operations does: it repeats the output of the recording."""
    first: Tensor = network(example)
    return lambda _: first.clone()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.uint8, torch.int64])
@torch.inference_mode()
def test_a_recording_of_nothing_is_not_used(dtype: torch.dtype) -> None:
    """On the inputs of the recording its output would be right. Those of a warm-up are black pictures and silence."""
    linear = _network()

    class Cast(nn.Module):
        def forward(self, inputs: Tensor) -> Tensor:
            output: Tensor = linear(inputs.float())
            return output

    graphed = GraphedNetwork("small", Cast(), _record_nothing)
    first = torch.arange(8).reshape(2, 4).to(dtype) if dtype == torch.int64 else torch.zeros(2, 4, dtype=dtype)
    with capture_logs() as logs:
        assert torch.equal(graphed(first), linear(first.float()))
        assert torch.equal(graphed(first + 1), linear((first + 1).float()))
    assert [entry["event"] for entry in logs] == ["cuda_graph_not_used"]


@torch.inference_mode()
def test_a_network_that_cannot_be_recorded_runs_eagerly() -> None:
    """It is tried once for each shape."""
    network, recorder = _network(), _Recorder(error=RuntimeError("operation not permitted when stream is capturing"))
    graphed = GraphedNetwork("small", network, recorder)
    inputs = torch.rand(2, 4)
    with capture_logs() as logs:
        for _ in range(2):
            assert torch.equal(graphed(inputs), network(inputs))
    assert recorder.shapes == [(2, 4)]
    assert "capturing" in logs[0]["reason"]


@torch.inference_mode()
def test_a_lack_of_memory_is_left_to_the_runtime() -> None:
    """It tries a smaller batch, and this shape again later."""
    recorder = _Recorder(error=torch.OutOfMemoryError("full"))
    graphed = GraphedNetwork("small", _network(), recorder)
    for _ in range(2):
        with pytest.raises(torch.OutOfMemoryError):
            graphed(torch.rand(2, 4))
    assert recorder.shapes == [(2, 4), (2, 4)]


@torch.inference_mode()
def test_the_number_of_recordings_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    """Further shapes run eagerly."""
    monkeypatch.setattr(cuda_graphs, "_MAX_SHAPES", 2)
    recorder, network = _Recorder(), _network()
    graphed = GraphedNetwork("small", network, recorder)
    for rows in (1, 2, 3):
        inputs = torch.rand(rows, 4)
        assert torch.equal(graphed(inputs), network(inputs))
    assert recorder.shapes == [(1, 4), (2, 4)]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@torch.inference_mode()
def test_a_recording_on_a_gpu_equals_the_network() -> None:
    """Also for other inputs than the one that was recorded, in bfloat16."""
    network = _network().to("cuda")
    with torch.autocast("cuda", dtype=torch.bfloat16):
        run = record_cuda_graph(network, torch.rand(2, 4, device="cuda"))
        first, second = torch.rand(2, 2, 4, device="cuda")
        kept = run(first)
        torch.testing.assert_close(run(second), network(second))
        torch.testing.assert_close(kept, network(first))
