"""Run a frozen network on a GPU as CUDA graphs: one launch for each batch instead of one for each operation.

A graph is recorded once for each shape, and a GPU runs few shapes: the fixed batch sizes. A recording that fails, or
whose outputs differ from the network's, is not used; the log says why. They are compared on other inputs than those of
the recording: a graph that recorded no operation repeats the first output.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import structlog
import torch
from torch import Tensor, nn

RunGraphed = Callable[[Tensor], Tensor]
"""Runs a recorded network on an input of the shape that was recorded. The output is the caller's."""

Record = Callable[[nn.Module, Tensor], RunGraphed]
"""Records a network for inputs of the shape and type of an example."""

_MAX_SHAPES: Final = 16
"""How many shapes are recorded: each keeps memory for its inputs, outputs and intermediate values."""
_TOLERANCE: Final = 1e-2
"""The largest difference to the network, relative to the largest output. Results are bfloat16, and mostly equal."""
_WARM_UPS: Final = 3
"""Runs before the recording: libraries choose their kernels and allocate their workspaces in the first ones."""

_log = structlog.get_logger(__name__)


class GraphedNetwork(nn.Module):
    """Run a network as graphs, one for each shape, and shapes that cannot be recorded eagerly.

    Args:
        name: name of the network, for the log.
        network: a frozen network in evaluation mode that maps a tensor to a tensor and never waits for the host.
        record: records it.
    """

    def __init__(self, name: str, network: nn.Module, record: Record | None = None) -> None:
        super().__init__()
        self._name = name
        self._network = network
        self._record = record or record_cuda_graph
        self._runs: dict[tuple[object, ...], RunGraphed | None] = {}

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the output of the network for inputs of any shape.

        Raises:
            torch.OutOfMemoryError: there is no memory for a recording or a run.
        """
        key = (tuple(inputs.shape), inputs.dtype, torch.is_autocast_enabled(inputs.device.type))
        if key not in self._runs:
            if len(self._runs) >= _MAX_SHAPES:
                return self._eager(inputs)
            self._runs[key] = self._recorded(inputs)
        run = self._runs[key]
        return self._eager(inputs) if run is None else run(inputs)

    def _eager(self, inputs: Tensor) -> Tensor:
        output: Tensor = self._network(inputs)
        return output

    def _recorded(self, inputs: Tensor) -> RunGraphed | None:
        """Return the recorded network if its output equals the network's on other inputs."""
        try:
            run = self._record(self._network, inputs)
        except torch.OutOfMemoryError:  # a smaller batch may fit
            raise
        except RuntimeError as error:  # what CUDA raises for an operation that cannot be recorded
            self._log_unused(inputs, f"{error!s:.300}")
            return None
        difference = self._difference(run, _other_content(inputs))
        if not difference <= _TOLERANCE:
            self._log_unused(inputs, f"it differs by {difference:.1g} of the largest output, more than {_TOLERANCE:g}")
            return None
        _log.info("cuda_graph_used", network=self._name, shape=tuple(inputs.shape), difference=difference)
        return run

    def _difference(self, run: RunGraphed, inputs: Tensor) -> float:
        """Return the largest difference of the two outputs, relative to the largest output; NaN if one has a NaN."""
        expected, got = self._eager(inputs).float(), run(inputs).float()
        return float((expected - got).abs().max()) / max(float(expected.abs().max()), 1e-12)

    def _log_unused(self, inputs: Tensor, reason: str) -> None:
        _log.warning("cuda_graph_not_used", network=self._name, shape=tuple(inputs.shape), reason=reason)


def graphed(name: str, network: nn.Module, examples: Sequence[Tensor], *, any_size: bool = False) -> nn.Module:
    """Return the network as graphs, if it maps one tensor of a fixed size; an `Accelerate` for encoders on a GPU."""
    return network if any_size or len(examples) != 1 else GraphedNetwork(name, network)


def _other_content(inputs: Tensor) -> Tensor:
    """Return inputs of the same shape, type and device with other values: those of a warm-up are all equal."""
    generator = torch.Generator().manual_seed(0)
    if inputs.is_floating_point():
        return torch.rand(inputs.shape, generator=generator).to(inputs)
    if inputs.dtype == torch.uint8:
        return torch.randint(0, 256, inputs.shape, generator=generator, dtype=torch.uint8).to(inputs.device)
    return inputs.flatten().roll(1).reshape(inputs.shape)  # numbers of a vocabulary: others may not be in it


def record_cuda_graph(network: nn.Module, example: Tensor) -> RunGraphed:
    """Record a network on the GPU of the example, in the precision that autocast has there now.

    Raises:
        RuntimeError: an operation cannot be recorded.
    """
    device = example.device
    given = example.clone()
    # The casts of weights that autocast caches would belong to the recording, and outlive it.
    precision = torch.autocast(
        device.type,
        dtype=torch.get_autocast_dtype(device.type),
        enabled=torch.is_autocast_enabled(device.type),
        cache_enabled=False,
    )
    graph = torch.cuda.CUDAGraph()
    # Without a stream of this device, one of whichever device was the current one at the first recording is taken.
    with torch.cuda.device(device):
        computing = torch.cuda.current_stream(device)
        beside = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        beside.wait_stream(computing)
        with precision, torch.cuda.stream(beside):
            for _ in range(_WARM_UPS):
                network(given)
        computing.wait_stream(beside)
        # Other threads, such as that of a detector, may use the GPU meanwhile.
        with precision, torch.cuda.graph(graph, stream=beside, capture_error_mode="thread_local"):
            output: Tensor = network(given)

    def run(inputs: Tensor) -> Tensor:
        given.copy_(inputs)
        graph.replay()
        return output.clone()

    return run
