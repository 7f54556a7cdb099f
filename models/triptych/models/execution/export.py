"""Export a network as a graph (torch.export), or compile it ahead of time for this CPU (AOTInductor), and load it.

A graph depends on the machine, the version of torch and the weights that it was made with, so graphs are not shipped.
"""

from __future__ import annotations

import copy
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from torch.export import Dim

from triptych.models.execution.exportable import MIN_TOKENS, TensorNetwork, graph_inputs
from triptych.models.network.collate import WindowBatch
from triptych.schemas.errors import UsageError

GraphForm = Literal["export", "aot"]
GRAPH_FORMS: tuple[GraphForm, ...] = get_args(GraphForm)
TOLERANCE = 1e-3
"""The maximum difference d of an output y from the eager output x: |y - x| / (1 + |x|) <= d."""

_MOST_ROWS = 1_024
_TEXT_TENSORS = 3

RunGraph = Callable[..., Mapping[str, Tensor]]


class GraphError(UsageError):
    """A graph cannot be exported, loaded or trusted on this machine. The eager network still works."""


@dataclass(frozen=True, slots=True)
class GraphComparison:
    """A comparison of a graph with its eager network.

    Attributes:
        difference: the maximum difference of any output, relative to 1 plus its magnitude.
        eager_ms: CPU time per window of the eager network in milliseconds.
        graph_ms: CPU time per window of the graph in milliseconds.
    """

    difference: float
    eager_ms: float
    graph_ms: float


def export_graph(
    network: nn.Module, batch: WindowBatch, modalities: tuple[str, ...], form: GraphForm, to: Path
) -> None:
    """Export a network on the CPU as a graph with dynamic batch size and text length, and write it to a file.

    Args:
        network: maps a `WindowBatch` to outputs by name.
        batch: an example with at least two rows that contain all modalities.
        modalities: the modalities that the network reads.
        form: `export` for a graph of torch operations, `aot` for native code. The latter needs a C++ compiler and
            minutes.
        to: the file to write; its name ends in `.pt2`.

    Raises:
        GraphError: torch or the compiler failed. The message contains the first line of their error.
    """
    tensors = graph_inputs(batch, modalities)
    if tensors is None or tensors[0].shape[0] < 2:  # noqa: PLR2004 - torch specialises on a size of 1
        raise ValueError("batch: expected at least two rows with all modalities")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns about recurrent layers and complex numbers
            _write(_exported(network, tensors, batch.text.shape[1]), form, to)
    except Exception as error:  # torch, its compiler and g++ raise undocumented classes
        raise GraphError(f"{form}: export failed: {_first_line(error)}") from error


def load_graph(path: Path, form: GraphForm) -> RunGraph:
    """Load a graph that `export_graph` wrote.

    Compiled graphs are native code: load only files that were made on this machine.

    Raises:
        GraphError: the file is damaged or was made by another version of torch.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            loaded: RunGraph = (
                torch._inductor.aoti_load_package(str(path))  # noqa: SLF001 - the documented entry point
                if form == "aot"
                else torch.export.load(str(path)).module()
            )
    except Exception as error:  # as above
        raise GraphError(f"{form}: cannot load {path}: {_first_line(error)}") from error
    # A function, not a submodule: an exported module raises an error when its parent's eval() is called.
    return partial(loaded)


@torch.inference_mode()
def compare_graph(
    run: RunGraph, network: nn.Module, batch: WindowBatch, modalities: tuple[str, ...]
) -> GraphComparison:
    """Compare a graph with its network on a batch that contains all modalities.

    Raises:
        GraphError: the graph fails or its outputs differ by more than `TOLERANCE`.
    """
    tensors = graph_inputs(batch, modalities)
    if tensors is None:
        raise ValueError("batch: expected rows with all modalities")
    rows = tensors[0].shape[0]
    try:
        outputs, graph_ms = _timed(lambda: run(*tensors), rows)
    except Exception as error:  # as above
        raise GraphError(f"the graph does not run: {_first_line(error)}") from error
    expected, eager_ms = _timed(lambda: network(batch), rows)
    if set(outputs) != set(expected):
        raise GraphError(f"expected the outputs {', '.join(sorted(expected))}, got {', '.join(sorted(outputs))}")
    difference = max(_difference(outputs[name], expected[name][:rows]) for name in expected)
    if not difference <= TOLERANCE:  # also true for NaN
        raise GraphError(f"the outputs of graph and network differ by {difference:.2g}, more than {TOLERANCE:g}")
    return GraphComparison(difference, eager_ms, graph_ms)


def _exported(network: nn.Module, tensors: tuple[Tensor, ...], longest: int) -> torch.export.ExportedProgram:
    """Trace the network with dynamic sizes B (all inputs) and L (the text inputs)."""
    rows: dict[int, Any] = {0: Dim("windows", min=1, max=_MOST_ROWS)}
    text = rows | {1: Dim("tokens", min=MIN_TOKENS, max=longest)} if longest > MIN_TOKENS else rows
    shapes = (*(rows for _ in tensors[:-_TEXT_TENSORS]), *(text for _ in range(_TEXT_TENSORS)))
    with torch.no_grad():
        return torch.export.export(TensorNetwork(_own_copy(network)).eval(), tensors, dynamic_shapes=(shapes,))


def _own_copy(network: nn.Module) -> nn.Module:
    """Return a copy in which each buffer has its own memory: a view would be saved with its whole base tensor."""
    own = copy.deepcopy(network)
    for module in own.modules():
        for name, buffer in module.named_buffers(recurse=False):
            setattr(module, name, buffer.clone(memory_format=torch.contiguous_format))
    return own


def _write(exported: torch.export.ExportedProgram, form: GraphForm, to: Path) -> None:
    if form == "aot":
        torch._inductor.aoti_compile_and_package(exported, package_path=str(to))  # noqa: SLF001 - the documented entry point
    else:
        torch.export.save(exported, str(to))


def _timed(answer: Callable[[], Mapping[str, Tensor]], rows: int) -> tuple[Mapping[str, Tensor], float]:
    """Run twice. Return the outputs, [B, ...] by name, and the CPU time per row in milliseconds of the second run."""
    answer()
    began = time.process_time()
    outputs = answer()
    return outputs, (time.process_time() - began) * 1e3 / rows


def _difference(outputs: Tensor, expected: Tensor) -> float:
    """Return the maximum of |y - x| / (1 + |x|) for two outputs of the same shape [B, ...]."""
    if outputs.shape != expected.shape:
        raise GraphError(f"expected an output of shape {list(expected.shape)}, got {list(outputs.shape)}")
    return float(((outputs - expected).abs() / (1 + expected.abs())).max())


def _first_line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
