"""Export a network as one graph (torch.export), or compile it for this processor (AOTInductor); load what was made.

Not what is shipped: a package belongs to the machine, the version of torch and the weights that it was made with.
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

from triptych.models.execution.exportable import LEAST_TOKENS, WholeNetwork, whole_tensors
from triptych.models.network.collate import WindowBatch
from triptych.schemas.errors import UsageError

GraphForm = Literal["export", "aot"]
GRAPH_FORMS: tuple[GraphForm, ...] = get_args(GraphForm)
TOLERANCE = 1e-3
"""Of a number and its size together, by which a graph may differ from the network that it was made of."""

_MOST_ROWS = 1_024
_TEXT_TENSORS = 3

RunGraph = Callable[..., Mapping[str, Tensor]]


class GraphError(UsageError):
    """A graph cannot be made, read or trusted here; the message says why. The network itself runs all the same."""


@dataclass(frozen=True, slots=True)
class Trial:
    """Hold how a graph did beside its network.

    Attributes:
        difference: the greatest of any number, over 1 and the number's own size.
        eager_ms: CPU time of a window of the network.
        graph_ms: the same of the graph.
    """

    difference: float
    eager_ms: float
    graph_ms: float


def make_graph(network: nn.Module, batch: WindowBatch, modalities: tuple[str, ...], form: GraphForm, to: Path) -> None:
    """Write a network on the CPU as a graph for any number of windows and of tokens of words.

    Args:
        network: answers a batch.
        batch: an example with two rows or more and everything in it.
        modalities: that the network reads.
        form: `export` for torch's own operations, `aot` for compiled ones, which takes a C++ compiler and minutes.
        to: a file that ends in `.pt2`.

    Raises:
        GraphError: torch or the compiler refuses; the message has their words.
    """
    tensors = whole_tensors(batch, modalities)
    if tensors is None or tensors[0].shape[0] < 2:  # noqa: PLR2004 - torch takes 1 for a constant
        raise ValueError("batch: expected two rows and every modality in them")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's words to itself: of recurrent layers, of complex numbers
            _write(_exported(network, tensors, batch.text.shape[1]), form, to)
    except Exception as error:  # whatever torch, its compiler or g++ raise: none of it is a class of ours or documented
        raise GraphError(f"{form}: cannot be made here: {_first_line(error)}") from error


def load_graph(path: Path, form: GraphForm) -> RunGraph:
    """Read what `make_graph` wrote. Compiled code is native code: read only what was made here.

    Raises:
        GraphError: it is damaged, or of another torch.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            loaded: RunGraph = (
                torch._inductor.aoti_load_package(str(path))  # noqa: SLF001 - its documented name
                if form == "aot"
                else torch.export.load(str(path)).module()
            )
    except Exception as error:  # as above
        raise GraphError(f"{form}: {path} cannot be read: {_first_line(error)}") from error
    # As a function: an exported module does not bear to be a part of another, it cannot be told to evaluate.
    return partial(loaded)


@torch.inference_mode()
def try_graph(run: RunGraph, network: nn.Module, batch: WindowBatch, modalities: tuple[str, ...]) -> Trial:
    """Compare a graph with its network on a batch with everything in it.

    Raises:
        GraphError: it breaks, or says something else.
    """
    tensors = whole_tensors(batch, modalities)
    if tensors is None:
        raise ValueError("batch: expected every modality in it")
    rows = tensors[0].shape[0]
    try:
        said, graph_ms = _timed(lambda: run(*tensors), rows)
    except Exception as error:  # as above
        raise GraphError(f"it does not run: {_first_line(error)}") from error
    expected, eager_ms = _timed(lambda: network(batch), rows)
    if set(said) != set(expected):
        raise GraphError(f"expected answers for {', '.join(sorted(expected))}, got {', '.join(sorted(said))}")
    difference = max(_difference(said[name], expected[name][:rows]) for name in expected)
    if not difference <= TOLERANCE:  # NaN too
        raise GraphError(f"it says something else than its network: numbers differ by {difference:.2g}")
    return Trial(difference, eager_ms, graph_ms)


def _exported(network: nn.Module, tensors: tuple[Tensor, ...], longest: int) -> torch.export.ExportedProgram:
    rows: dict[int, Any] = {0: Dim("windows", min=1, max=_MOST_ROWS)}
    text = rows | {1: Dim("tokens", min=LEAST_TOKENS, max=longest)} if longest > LEAST_TOKENS else rows
    shapes = (*(rows for _ in tensors[:-_TEXT_TENSORS]), *(text for _ in range(_TEXT_TENSORS)))
    with torch.no_grad():
        return torch.export.export(WholeNetwork(_own_copy(network)).eval(), tensors, dynamic_shapes=(shapes,))


def _own_copy(network: nn.Module) -> nn.Module:
    """Return a copy whose buffers have memory of their own: a part of a tensor is written with all of it."""
    own = copy.deepcopy(network)
    for module in own.modules():
        for name, buffer in module.named_buffers(recurse=False):
            setattr(module, name, buffer.clone(memory_format=torch.contiguous_format))
    return own


def _write(exported: torch.export.ExportedProgram, form: GraphForm, to: Path) -> None:
    if form == "aot":
        torch._inductor.aoti_compile_and_package(exported, package_path=str(to))  # noqa: SLF001 - its documented name
    else:
        torch.export.save(exported, str(to))


def _timed(answer: Callable[[], Mapping[str, Tensor]], rows: int) -> tuple[Mapping[str, Tensor], float]:
    """Return an answer and its CPU time for a row in milliseconds, of the second of two runs."""
    answer()
    began = time.process_time()
    said = answer()
    return said, (time.process_time() - began) * 1e3 / rows


def _difference(said: Tensor, expected: Tensor) -> float:
    if said.shape != expected.shape:
        raise GraphError(f"expected an answer of shape {list(expected.shape)}, got {list(said.shape)}")
    return float(((said - expected).abs() / (1 + expected.abs())).max())


def _first_line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
