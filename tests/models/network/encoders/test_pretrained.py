"""The pretrained encoders as parts of a trained model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from triptych.models.build import ModelChoice, build_model
from triptych.models.checkpoints.card import Architecture, Card, CardError, EncoderCard, FusionCard, HeadCard, InputCard
from triptych.models.checkpoints.checkpoint import load_checkpoint, save_checkpoint
from triptych.models.execution.exportable import TensorNetwork, graph_inputs
from triptych.models.model import Model
from triptych.models.network.architecture import Network, build_network, pretrained_checksums
from triptych.models.network.collate import WindowBatch, collate, empty_batch
from triptych.models.network.fused import FusedModel
from triptych.models.window import PreparedCue, PreparedWindow

WINDOW_NS = 2_000_000_000
SHAPE = InputCard(frames=2, height=224, width=224, sample_rate_hz=16_000, text_tokens=64, window_ns=WINDOW_NS)
MODALITIES = ("video", "audio", "text")


def card_of(*, frozen: bool, **changes: EncoderCard) -> Card:
    """Return the card of a network with all three pretrained encoders."""
    encoders = {
        name: EncoderCard(kind="pretrained", frozen=frozen, sha256=pretrained_checksums(name)) for name in MODALITIES
    }
    architecture = Architecture(
        width=16,
        encoders=encoders | changes,
        fusion=FusionCard(name="attention"),
        heads=(HeadCard(name="mood", kind="multiclass", labels=("sad", "glad")),),
    )
    return Card(name="m", input=SHAPE, architecture=architecture, weights_sha256="0" * 64)


def network_of(card: Card, folder: Path) -> Network:
    """Build the network, ready to be trained."""
    torch.manual_seed(1)
    network = build_network(card.architecture, weights_folder=folder)
    network.model.train()
    return network


@pytest.fixture
def batch(make_window: Callable[..., PreparedWindow], speech: NDArray[np.float32]) -> Callable[[Network], WindowBatch]:
    """Return a factory of a batch with one complete window and one without video."""

    def make(network: Network) -> WindowBatch:
        picture = np.random.default_rng(1).integers(0, 256, (224, 224, 3), np.uint8)
        cues = (PreparedCue("It is cold.", 0, WINDOW_NS), PreparedCue("今天很冷。", WINDOW_NS // 2, WINDOW_NS))
        sound = speech[:10_000]
        windows = (make_window([picture] * 2, sound, ((0, 4_000), (24_000, 30_000)), cues), make_window((), sound))
        return collate(windows, empty_batch(2, 32_000, SHAPE.spec()), network.tokenize)

    return make


def test_frozen_encoders_are_not_trained_and_not_written(
    weights_folder: Path, batch: Callable[[Network], WindowBatch], tmp_path: Path
) -> None:
    """The checkpoint is small, and the loaded model gives the same outputs."""
    card = card_of(frozen=True)
    network = network_of(card, weights_folder)
    network.model(batch(network))["mood"].sum().backward()
    assert all(parameter.grad is None for parameter in network.model.encoders.parameters())
    assert not network.model.encoders["audio"].training

    saved = save_checkpoint(tmp_path, network.model, card)
    assert (tmp_path / "model.safetensors").stat().st_size < 400_000
    loaded = load_checkpoint(tmp_path, weights_folder=weights_folder)
    assert loaded.card == saved
    ours, theirs = network.model.eval(), loaded.network.model.eval()
    torch.testing.assert_close(theirs(batch(network))["mood"], ours(batch(network))["mood"])


class _Tokens(nn.Module):
    """The encoders of a model without fusion and heads."""

    def __init__(self, model: FusedModel) -> None:
        super().__init__()
        self.encoders = model.encoders

    def forward(self, batch: WindowBatch) -> dict[str, torch.Tensor]:
        """Return tokens, mask and times of each modality."""
        encoded = {name: encoder(batch) for name, encoder in self.encoders.items()}
        return {f"{name} {part}": getattr(own, part) for name, own in encoded.items() for part in own._fields}


def test_a_dense_batch_gives_the_same_tokens(
    weights_folder: Path, make_window: Callable[..., PreparedWindow], speech: NDArray[np.float32]
) -> None:
    """The batch has windows with several cues, with short audio, without video, and an empty row."""
    network = network_of(card_of(frozen=True), weights_folder)
    picture = np.random.default_rng(1).integers(0, 256, (224, 224, 3), np.uint8)
    cues = (PreparedCue("It is cold.", 0, WINDOW_NS), PreparedCue("今天很冷。", WINDOW_NS // 2, WINDOW_NS))
    windows = (
        make_window([picture] * 2, speech[:10_000], cues=cues[:1]),
        make_window([picture], speech[10_000:42_000], cues=cues),
        make_window((), speech[:20_000], cues=cues[1:]),
    )
    batch = collate(windows, empty_batch(4, 32_000, SHAPE.spec()), network.tokenize)
    tensors = graph_inputs(batch, MODALITIES)
    assert tensors is not None
    with torch.inference_mode():
        expected = {name: encoder(batch) for name, encoder in network.model.encoders.items()}
        outputs = TensorNetwork(_Tokens(network.model))(*tensors)
    for name, own in expected.items():
        there = own.mask[:3]
        places = there.shape[1]
        assert torch.equal(outputs[f"{name} mask"][:, :places], there)
        assert not outputs[f"{name} mask"][:, places:].any()
        theirs = (outputs[f"{name} {part}"][:, :places][there] for part in ("tokens", "times"))
        for numbers, wanted in zip(theirs, (own.tokens, own.times), strict=True):
            torch.testing.assert_close(numbers, wanted[:3][there], rtol=1e-3, atol=1e-4)


def test_a_model_with_frozen_encoders_has_the_observations_of_the_base_model(
    weights_folder: Path,
    tmp_path: Path,
    make_window: Callable[..., PreparedWindow],
    speech: NDArray[np.float32],
    picture: Callable[[str], NDArray[np.uint8]],
    base_model: Model,
) -> None:
    """Image labels, share of speech and loudness equal those of the base model, without further runs of an encoder."""
    card = card_of(frozen=True)
    save_checkpoint(tmp_path, network_of(card, weights_folder).model, card)
    trained = build_model(ModelChoice(str(tmp_path), frames=2, window_ns=WINDOW_NS, device="cpu", max_batch=4))
    windows = [
        make_window([picture("cat")], speech[32_000:64_000], cues=(PreparedCue("It is cold.", 0, WINDOW_NS),)),
        make_window([picture("rocket")] * 2),
        make_window((), speech[:10_000], ((0, 4_000), (24_000, 30_000))),
    ]

    for own, base in zip(trained.predict(windows), base_model.predict(windows), strict=True):
        assert [one.label for one in own.visual] == [one.label for one in base.visual]
        assert [one.score for one in own.visual] == pytest.approx([one.score for one in base.visual], rel=1e-4)
        assert own.speech_share == pytest.approx(base.speech_share)
        assert own.loudness_lufs == pytest.approx(base.loudness_lufs)
        assert own.predictions


def test_fine_tuned_encoders_get_gradients(weights_folder: Path, batch: Callable[[Network], WindowBatch]) -> None:
    """Each of the three encoders gets gradients."""
    network = network_of(card_of(frozen=False), weights_folder)
    network.model(batch(network))["mood"][0, 0].backward()

    for name, encoder in network.model.encoders.items():
        gradients = [parameter.grad for parameter in encoder.parameters() if parameter.grad is not None]
        assert any(gradient.abs().sum() > 0 for gradient in gradients), name


def test_tokens_have_their_times(weights_folder: Path, batch: Callable[[Network], WindowBatch]) -> None:
    """Frames have their own times, cues their start, and audio steps their position in the window, even after a gap."""
    network = network_of(card_of(frozen=True), weights_folder)
    own = batch(network)
    times = {name: encoder(own).times for name, encoder in network.model.encoders.items()}

    assert times["video"][0].tolist() == [0, 0.5]
    assert times["text"][0].tolist() == [0, 0.5]
    sound = times["audio"][0, :20]
    assert float(sound[7]) == pytest.approx(7 * 512 / 32_000)
    assert float(sound[8]) == pytest.approx((24_000 + 8 * 512 - 4_000) / 32_000)


def test_other_pretrained_weights_are_rejected(weights_folder: Path) -> None:
    """A network that was trained on other weights of the encoder is rejected."""
    other = EncoderCard(kind="pretrained", frozen=True, sha256=("0" * 64,))
    with pytest.raises(CardError, match="the video encoder: expected the weights 000"):
        network_of(card_of(frozen=True, video=other), weights_folder)
