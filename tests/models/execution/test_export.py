"""Exported graphs (`export.py`, `exportable.py`, `export_cache.py`) give the network's outputs or are not used."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from structlog.testing import capture_logs
from torch import Tensor, nn

from triptych.models.checkpoints.card import Card
from triptych.models.checkpoints.checkpoint import Checkpoint
from triptych.models.execution import export_cache as graph_cache
from triptych.models.execution.export import GraphForm, export_graph
from triptych.models.execution.export_cache import FOLDER, GraphSource, use_graph
from triptych.models.execution.exportable import TensorNetwork, graph_inputs
from triptych.models.execution.runtime import RunOptions
from triptych.models.network.architecture import Network
from triptych.models.network.collate import WindowBatch, collate, empty_batch
from triptych.models.network.encoders.hashed_words import hash_words
from triptych.models.network.fusions.registry import FUSIONS
from triptych.models.trained import ServedNetwork, build_trained_model
from triptych.models.window import PreparedCue, PreparedWindow

WINDOW_NS = 2_000_000_000
WINDOW_SAMPLES = 32_000
MODALITIES = ("audio", "text", "video")
MakeWindow = Callable[..., PreparedWindow]
MakeCard = Callable[..., Card]
MakeNetwork = Callable[..., Network]
MIXED = ("video audio text", "video audio", "audio text", "video text", "text")


def batch_of(card: Card, *windows: PreparedWindow, rows: int | None = None) -> WindowBatch:
    """Collate windows as the runtime does, with empty rows."""
    return collate(windows, empty_batch(rows or len(windows), WINDOW_SAMPLES, card.input.spec()), hash_words)


@pytest.mark.parametrize("fusion", FUSIONS)
def test_a_dense_batch_gives_the_same_outputs(
    fusion: str, small_card: MakeCard, small_network: MakeNetwork, noise_window: MakeWindow
) -> None:
    """The windows lack different modalities. Empty rows and tokens are removed."""
    card = small_card(fusion)
    network = ServedNetwork(small_network(fusion).model, card).eval()
    batch = batch_of(card, *(noise_window(seed, modalities) for seed, modalities in enumerate(MIXED)), rows=8)
    tensors = graph_inputs(batch, MODALITIES)
    assert tensors is not None
    assert {tensor.shape[0] for tensor in tensors} == {5}
    assert int(batch.text_mask.sum(1).max()) <= tensors[5].shape[1] < batch.text.shape[1]
    with torch.inference_mode():
        expected, outputs = network(batch), TensorNetwork(network)(*tensors)
    assert set(outputs) == set(expected)
    for name, numbers in outputs.items():
        torch.testing.assert_close(numbers, expected[name][:5], rtol=1e-4, atol=1e-5)


def test_unsuitable_batches_are_left_to_the_eager_network(
    small_card: MakeCard, noise_window: MakeWindow, make_window: MakeWindow
) -> None:
    """A modality in less than half of the rows, audio with gaps, and many cues are run by the eager network."""
    card = small_card()
    complete = noise_window(0)
    silent = noise_window(1, "video text")
    gaps = make_window(complete.frames_hwc_u8, complete.audio_f32[:2_000], ((0, 1_000), (5_000, 6_000)), complete.cues)
    many_cues = make_window(
        complete.frames_hwc_u8, complete.audio_f32[:2_000], cues=tuple(PreparedCue("a", at, at + 1) for at in range(9))
    )
    assert graph_inputs(batch_of(card, complete, silent), MODALITIES) is not None
    assert graph_inputs(batch_of(card, silent, silent), MODALITIES) is None
    assert graph_inputs(batch_of(card, complete, silent, silent), MODALITIES) is None
    assert graph_inputs(batch_of(card, silent, silent), ("text", "video")) is not None
    assert graph_inputs(batch_of(card, complete, gaps), MODALITIES) is None
    long = card.model_copy(update={"input": card.input.model_copy(update={"text_tokens": 64})})
    assert graph_inputs(batch_of(long, complete, many_cues), MODALITIES) is None


def test_an_exported_model_is_cached_and_gives_the_same_predictions(
    tmp_path: Path, small_card: MakeCard, small_network: MakeNetwork, noise_window: MakeWindow
) -> None:
    """It works for batches of any size, and for windows with and without each modality."""
    card = small_card("late")
    windows = [noise_window(seed, modalities) for seed, modalities in enumerate(MIXED)]
    checkpoint = Checkpoint(card, small_network("late"))
    plain = RunOptions(torch.device("cpu"), WINDOW_NS, 8)
    with capture_logs() as logs:
        ours = build_trained_model(checkpoint, replace(plain, graph="export", graphs_folder=tmp_path))
    assert [(entry["event"], entry["made_now"]) for entry in logs] == [("graph_in_use", True)]
    theirs = build_trained_model(checkpoint, plain)
    for some in (windows[:1], windows[:3], windows, windows[4:]):
        for prediction, expected in zip(ours.predict(some), theirs.predict(some), strict=True):
            assert prediction.predictions is not None
            assert expected.predictions is not None
            ours_best, theirs_best = prediction.predictions["mood"][0], expected.predictions["mood"][0]
            assert ours_best.label == theirs_best.label
            assert ours_best.score == pytest.approx(theirs_best.score, abs=1e-5)
            assert prediction.shares == pytest.approx(expected.shares, abs=2e-3)


class Tiny(nn.Module):
    """A network that compiles in seconds. Its outputs are the audio power and a number of the text times."""

    def __init__(self, factor: float = 2.0) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(factor))

    def forward(self, batch: WindowBatch) -> dict[str, Tensor]:
        """Return [B, 2]."""
        values = torch.stack([batch.audio.square().mean(1), batch.text_t.mul(batch.text_mask).sum(1)], 1)
        return {"tiny": values * self.factor}


def tiny_source(card: Card) -> GraphSource:
    """Return what a graph of the tiny network depends on."""
    return GraphSource("0" * 64, MODALITIES, card.input.spec(), WINDOW_NS, hash_words)


def events(network: nn.Module, card: Card, form: GraphForm, folder: Path) -> tuple[nn.Module, list[object]]:
    """Run a network as a graph; return the result and the log events."""
    with capture_logs() as logs:
        result = use_graph(network, tiny_source(card), form, folder)
    return result, [(entry["event"], entry.get("made_now"), entry.get("instead")) for entry in logs]


def test_cached_graphs_are_reused_and_damaged_or_outdated_ones_are_replaced(
    tmp_path: Path, small_card: MakeCard
) -> None:
    """Truncated files, and graphs with other outputs than the network, are exported again."""
    card = small_card()
    made, used = ("graph_in_use", True, None), ("graph_in_use", False, None)
    assert events(Tiny(), card, "export", tmp_path)[1] == [made]
    assert events(Tiny(), card, "export", tmp_path)[1] == [used]
    (package,) = (tmp_path / FOLDER).glob("*.pt2")
    package.write_bytes(package.read_bytes()[:1_000])
    assert events(Tiny(), card, "export", tmp_path)[1] == [made]
    package.write_bytes(b"not a package")
    package.with_suffix(".sha256").write_text(hashlib.sha256(b"not a package").hexdigest())
    assert events(Tiny(), card, "export", tmp_path)[1] == [("graph_exported_again", None, None), made]
    assert events(Tiny(3.0), card, "export", tmp_path)[1] == [("graph_exported_again", None, None), made]


def test_a_network_is_compiled_for_this_processor(
    tmp_path: Path, small_card: MakeCard, noise_window: MakeWindow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a C++ compiler, the network runs eagerly and the log contains the reason."""
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "inductor"))
    card = small_card()
    if shutil.which("g++") is None:
        pytest.skip("g++ is not installed")
    compiled, logged = events(Tiny(), card, "aot", tmp_path)
    assert logged == [("graph_in_use", True, None)]
    for rows in (1, 3):
        batch = batch_of(card, *(noise_window(seed) for seed in range(rows)))
        torch.testing.assert_close(compiled(batch)["tiny"], Tiny()(batch)["tiny"])

    monkeypatch.setenv("PATH", str(tmp_path))
    network = Tiny(4.0)
    with capture_logs() as logs:
        assert use_graph(network, tiny_source(card), "aot", tmp_path / "elsewhere") is network
    assert [(entry["event"], entry["instead"]) for entry in logs] == [("graph_not_used", "eager")]
    assert "aot: export failed" in logs[0]["reason"]
    assert not list((tmp_path / "elsewhere").rglob("*.pt2"))


def test_a_graph_with_other_outputs_is_not_used(
    tmp_path: Path, small_card: MakeCard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A graph whose outputs differ from those of the network is not used."""

    def other(_: nn.Module, batch: WindowBatch, modalities: tuple[str, ...], form: GraphForm, to: Path) -> None:
        export_graph(Tiny(3.0), batch, modalities, form, to)

    monkeypatch.setattr(graph_cache, "export_graph", other)
    network = Tiny()
    result, logged = events(network, small_card(), "export", tmp_path)
    assert result is network
    assert logged == [("graph_not_used", None, "eager")]
