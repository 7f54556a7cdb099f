"""Keep graphs of networks on this machine, and run them where they say the same; else the network runs as it is."""

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

from triptych.models.execution.export import GraphError, GraphForm, RunGraph, Trial, load_graph, make_graph, try_graph
from triptych.models.execution.exportable import whole_tensors
from triptych.models.execution.warmup_window import full_window
from triptych.models.model import InputSpec
from triptych.models.network.collate import WindowBatch, collate, empty_batch
from triptych.models.pretrained.tokens import Tokenize
from triptych.models.window import PreparedWindow
from triptych.units import NS_PER_S

FOLDER = "graphs"
_TRIAL_ROWS = 4

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class GraphSubject:
    """Say what a graph is made of.

    Attributes:
        sha256: of the model: of all that an answer depends on.
        modalities: that it reads.
        spec: how it wants its windows.
        window_ns: how long they are.
        tokenize: cuts text for it.
        observes: names of the heads that read its encoders beside its own answers.
    """

    sha256: str
    modalities: tuple[str, ...]
    spec: InputSpec
    window_ns: int
    tokenize: Tokenize | None
    observes: tuple[str, ...] = ()

    def trial_batch(self) -> WindowBatch:
        """Return windows of noise with everything in them, always the same."""
        random = np.random.default_rng(0)
        windows = [_noisy(full_window(self.window_ns, self.spec), random) for _ in range(_TRIAL_ROWS)]
        samples = self.window_ns * self.spec.sample_rate_hz // NS_PER_S
        return collate(windows, empty_batch(len(windows), samples, self.spec), self.tokenize)


@dataclass(frozen=True, slots=True)
class Graph:
    """Hold a graph that says what its network says."""

    run: RunGraph
    path: Path
    trial: Trial
    is_new: bool


class GraphNetwork(nn.Module):
    """Run a graph on the batches that it is made for, and the network that it is made of on all others."""

    def __init__(self, network: nn.Module, run: RunGraph, modalities: tuple[str, ...]) -> None:
        super().__init__()
        self.network = network
        self._run = run
        self._modalities = modalities

    def forward(self, batch: WindowBatch) -> dict[str, Tensor]:
        """Return what the network says; rows at the end that hold nothing may be missing."""
        tensors = whole_tensors(batch, self._modalities)
        said: dict[str, Tensor] = self.network(batch) if tensors is None else dict(self._run(*tensors))
        return said


def with_graph(network: nn.Module, subject: GraphSubject, form: GraphForm, folder: Path) -> nn.Module:
    """Return a network that runs as a graph, made where there is none yet; or, said in the log, the network itself."""
    try:
        graph = get_graph(network, subject, form, folder)
    except GraphError as error:
        _log.warning("graph_not_used", form=form, reason=str(error), instead="eager")
        return network
    _log.info(
        "graph_in_use",
        form=form,
        path=str(graph.path),
        made_now=graph.is_new,
        difference=graph.trial.difference,
        eager_ms=round(graph.trial.eager_ms, 2),
        graph_ms=round(graph.trial.graph_ms, 2),
    )
    return GraphNetwork(network, graph.run, subject.modalities)


def get_graph(network: nn.Module, subject: GraphSubject, form: GraphForm, folder: Path) -> Graph:
    """Return a graph from the cache, made anew where it is missing or damaged, and tried beside the network.

    Raises:
        GraphError: it cannot be made or read here, or says something else.
    """
    network.eval()
    batch = subject.trial_batch()
    path = folder / FOLDER / f"{_key(subject, form)}.pt2"
    if _is_whole(path):
        try:
            run = load_graph(path, form)
            return Graph(run, path, try_graph(run, network, batch, subject.modalities), is_new=False)
        except GraphError as error:  # made by another version of our own code, say
            _log.info("graph_made_anew", path=str(path), reason=str(error))
    _make(network, batch, subject.modalities, form, path)
    run = load_graph(path, form)
    return Graph(run, path, try_graph(run, network, batch, subject.modalities), is_new=True)


def _make(network: nn.Module, batch: WindowBatch, modalities: tuple[str, ...], form: GraphForm, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as partial:
        made = Path(partial) / path.name
        make_graph(network, batch, modalities, form, made)
        digest = hashlib.sha256(made.read_bytes()).hexdigest()
        _checksum_file(path).unlink(missing_ok=True)
        made.replace(path)
        noted = Path(partial) / "checksum"
        noted.write_text(digest, encoding="ascii")
        noted.replace(_checksum_file(path))


def _is_whole(path: Path) -> bool:
    """Say whether a graph is there as it was made: a damaged one is not even looked into, it may be native code."""
    try:
        noted = _checksum_file(path).read_text(encoding="ascii")
        return hashlib.sha256(path.read_bytes()).hexdigest() == noted
    except OSError:
        return False


def _checksum_file(path: Path) -> Path:
    return path.with_suffix(".sha256")


def _key(subject: GraphSubject, form: GraphForm) -> str:
    """Return a name for all that a graph depends on: processor, torch, model, windows."""
    decisive = {
        "form": form,
        "machine": platform.machine(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "torch": torch.__version__,
        "model": subject.sha256,
        "spec": [getattr(subject.spec, name) for name in subject.spec.__slots__],
        "window_ns": subject.window_ns,
        "observes": subject.observes,
    }
    return f"{form}-{hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()[:32]}"


def _noisy(window: PreparedWindow, random: np.random.Generator) -> PreparedWindow:
    frames = tuple(random.integers(0, 256, frame.shape, np.uint8) for frame in window.frames_hwc_u8)
    length_ns = window.end_ns - window.start_ns
    return replace(
        window,
        frames_hwc_u8=frames,
        frame_times_ns=tuple(window.start_ns + place * length_ns // len(frames) for place in range(len(frames))),
        audio_f32=random.normal(0, 0.1, window.audio_f32.shape).astype(np.float32),
    )
