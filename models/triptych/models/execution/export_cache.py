"""Cache exported graphs on this machine, and run them if their outputs equal those of the eager network."""

from __future__ import annotations

import hashlib
import json
import platform
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import structlog
import torch
from torch import Tensor, nn

from triptych.models.execution.export import (
    GraphComparison,
    GraphError,
    GraphForm,
    RunGraph,
    compare_graph,
    export_graph,
    load_graph,
)
from triptych.models.execution.exportable import graph_inputs
from triptych.models.execution.warmup_window import full_window
from triptych.models.model import InputSpec
from triptych.models.network.collate import WindowBatch, collate, empty_batch
from triptych.models.pretrained.tokenizer import Tokenize
from triptych.models.window import PreparedWindow
from triptych.units import NS_PER_S

FOLDER = "graphs"
_TRIAL_ROWS = 4

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class GraphSource:
    """Everything that an exported graph depends on.

    Attributes:
        sha256: checksum of the model, which covers everything that affects a prediction.
        modalities: the modalities that the model reads.
        spec: how windows are prepared.
        window_ns: length of the windows.
        tokenize: tokenizer of the model, if it reads text.
        observers: names of the heads that read the encoders directly.
    """

    sha256: str
    modalities: tuple[str, ...]
    spec: InputSpec
    window_ns: int
    tokenize: Tokenize | None
    observers: tuple[str, ...] = ()

    def example_batch(self) -> WindowBatch:
        """Return a batch of random windows that contain all modalities, the same in each call."""
        random = np.random.default_rng(0)
        windows = [_noisy(full_window(self.window_ns, self.spec), random) for _ in range(_TRIAL_ROWS)]
        samples = self.window_ns * self.spec.sample_rate_hz // NS_PER_S
        return collate(windows, empty_batch(len(windows), samples, self.spec), self.tokenize)


@dataclass(frozen=True, slots=True)
class Graph:
    """An exported graph whose outputs equal those of its network."""

    run: RunGraph
    path: Path
    comparison: GraphComparison
    is_new: bool


class GraphNetwork(nn.Module):
    """Run a graph on the batches that it supports, and the eager network on all others."""

    def __init__(self, network: nn.Module, run: RunGraph, modalities: tuple[str, ...]) -> None:
        super().__init__()
        self.network = network
        self._run = run
        self._modalities = modalities

    def forward(self, batch: WindowBatch) -> dict[str, Tensor]:
        """Return the outputs of the network by name, each [B', ...]. Empty rows at the end may be missing (B' <= B)."""
        tensors = graph_inputs(batch, self._modalities)
        outputs: dict[str, Tensor] = self.network(batch) if tensors is None else dict(self._run(*tensors))
        return outputs


def use_graph(network: nn.Module, source: GraphSource, form: GraphForm, folder: Path) -> nn.Module:
    """Return a network that runs as a graph. If that is not possible, log the reason and return the eager network."""
    try:
        graph = cached_graph(network, source, form, folder)
    except GraphError as error:
        _log.warning("graph_not_used", form=form, reason=str(error), instead="eager")
        return network
    _log.info(
        "graph_in_use",
        form=form,
        path=str(graph.path),
        made_now=graph.is_new,
        difference=graph.comparison.difference,
        eager_ms=round(graph.comparison.eager_ms, 2),
        graph_ms=round(graph.comparison.graph_ms, 2),
    )
    return GraphNetwork(network, graph.run, source.modalities)


def cached_graph(network: nn.Module, source: GraphSource, form: GraphForm, folder: Path) -> Graph:
    """Return a graph from the cache. Export it if it is missing or damaged. Compare it with the network in both cases.

    Raises:
        GraphError: the graph cannot be exported or loaded on this machine, or its outputs differ.
    """
    network.eval()
    batch = source.example_batch()
    path = folder / FOLDER / f"{_key(source, form)}.pt2"
    if _is_intact(path):
        try:
            run = load_graph(path, form)
            return Graph(run, path, compare_graph(run, network, batch, source.modalities), is_new=False)
        except GraphError as error:  # for example exported by another version of Triptych
            _log.info("graph_exported_again", path=str(path), reason=str(error))
    _make(network, batch, source.modalities, form, path)
    run = load_graph(path, form)
    return Graph(run, path, compare_graph(run, network, batch, source.modalities), is_new=True)


def _make(network: nn.Module, batch: WindowBatch, modalities: tuple[str, ...], form: GraphForm, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as partial:
        exported = Path(partial) / path.name
        export_graph(network, batch, modalities, form, exported)
        digest = hashlib.sha256(exported.read_bytes()).hexdigest()
        _checksum_file(path).unlink(missing_ok=True)
        exported.replace(path)
        recorded = Path(partial) / "checksum"
        recorded.write_text(digest, encoding="ascii")
        recorded.replace(_checksum_file(path))


def _is_intact(path: Path) -> bool:
    """Return whether the file matches its checksum. A damaged file is not loaded, since it may contain native code."""
    try:
        recorded = _checksum_file(path).read_text(encoding="ascii")
        return hashlib.sha256(path.read_bytes()).hexdigest() == recorded
    except OSError:
        return False


def _checksum_file(path: Path) -> Path:
    return path.with_suffix(".sha256")


def _key(source: GraphSource, form: GraphForm) -> str:
    """Return a file name that depends on everything a graph depends on: CPU, torch version, model and windows."""
    key = {
        "form": form,
        "machine": platform.machine(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "torch": torch.__version__,
        "model": source.sha256,
        "spec": [getattr(source.spec, name) for name in source.spec.__slots__],
        "window_ns": source.window_ns,
        "observes": source.observers,
    }
    return f"{form}-{hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:32]}"


def _noisy(window: PreparedWindow, random: np.random.Generator) -> PreparedWindow:
    frames = tuple(random.integers(0, 256, frame.shape, np.uint8) for frame in window.frames_hwc_u8)
    length_ns = window.end_ns - window.start_ns
    return replace(
        window,
        frames_hwc_u8=frames,
        frame_times_ns=tuple(window.start_ns + index * length_ns // len(frames) for index in range(len(frames))),
        audio_f32=random.normal(0, 0.1, window.audio_f32.shape).astype(np.float32),
    )
