"""Foundation models as encoders of trained models: tokens, checkpoints, training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.models.foundation import tiny_models
from triptych.models.build import ModelChoice, build_model
from triptych.models.checkpoints.card import (
    Architecture,
    Card,
    CardError,
    EncoderCard,
    FusionCard,
    HeadCard,
    InputCard,
)
from triptych.models.checkpoints.checkpoint import load_checkpoint, save_checkpoint
from triptych.models.foundation.window_encoder import FrameVectors, SoundVectors, foundation_encoder_card
from triptych.models.network.architecture import build_network
from triptych.models.network.collate import WindowBatch, collate, empty_batch
from triptych.models.window import PreparedCue, PreparedWindow
from triptych.schemas.errors import UsageError

RATE = 16_000
NS = 1_000_000_000
HEAD = HeadCard(name="target", kind="multiclass", labels=("sad", "glad"))


def new_card(folder: Path, *, seconds: int = 2, seed: int = 0) -> Card:
    """Return the card of a network on tiny SigLIP and CLAP models that are written to a folder."""
    sources = {
        "video": f"folder:{tiny_models.tiny_siglip(folder / 'siglip', seed)}",
        "audio": f"folder:{tiny_models.tiny_clap(folder / 'clap')}",
    }
    encoders = {modality: foundation_encoder_card(modality, source, folder) for modality, source in sources.items()}
    architecture = Architecture(
        width=16,
        encoders=encoders | {"text": EncoderCard(kind="small")},
        fusion=FusionCard(name="attention"),
        heads=(HEAD,),
    )
    shape = InputCard(frames=3, height=40, width=40, sample_rate_hz=RATE, text_tokens=8, window_ns=seconds * NS)
    return Card(name="moods", input=shape, architecture=architecture, weights_sha256="0" * 64)


def window(frames: int = 3, *, seconds: int = 2, sound: bool = True, seed: int = 0) -> PreparedWindow:
    """Return a window of random frames and noise with a gap."""
    rng = np.random.default_rng(seed)
    samples = seconds * RATE
    return PreparedWindow(
        stream="s",
        start_ns=0,
        end_ns=seconds * NS,
        frames_hwc_u8=tuple(rng.integers(0, 256, (40, 40, 3), np.uint8) for _ in range(frames)),
        frame_times_ns=tuple(number * NS // 4 for number in range(frames)),
        audio_f32=rng.normal(0, 0.1, samples).astype(np.float32),
        audio_present=((0, samples // 4), (samples // 2, samples)) if sound else (),
        cues=(PreparedCue("a dog", 0, NS),),
    )


def batch_of(card: Card, *windows: PreparedWindow) -> WindowBatch:
    """Return the windows as a batch."""
    return collate(windows, empty_batch(len(windows), len(windows[0].audio_f32), card.input.spec()))


@pytest.fixture(scope="module")
def card(tmp_path_factory: pytest.TempPathFactory) -> Card:
    """Return the card of a network, whose models are written."""
    return new_card(tmp_path_factory.mktemp("models"))


def test_each_frame_and_each_stretch_of_audio_is_a_token_with_its_time(card: Card, tmp_path: Path) -> None:
    """Each frame and each stretch of audio is a token with its time."""
    model = build_network(card.architecture, weights_folder=tmp_path).model
    video, audio = model.encoders["video"], model.encoders["audio"]
    assert isinstance(video, FrameVectors)
    assert isinstance(audio, SoundVectors)
    batch = batch_of(card, window(3), window(1, sound=False, seed=1), window(0, seed=2))
    seen, heard = video(batch), audio(batch)
    assert seen.tokens.shape == (3, 3, 16)
    assert seen.mask.tolist() == [[True, True, True], [True, False, False], [False, False, False]]
    assert seen.tokens[seen.mask].norm(dim=1).tolist() == pytest.approx([1.0] * 4, abs=1e-5)
    assert heard.mask.tolist() == [[True, True], [False, False], [True, True]]
    assert heard.times is not None
    assert heard.times[0].tolist() == pytest.approx([0.125, 0.75])
    alone = video(batch_of(card, window(1, sound=False, seed=1)))
    torch.testing.assert_close(alone.tokens[0, 0], seen.tokens[1, 0], atol=1e-5, rtol=0)


def test_long_audio_is_split_into_stretches_that_the_encoder_hears(tmp_path: Path) -> None:
    """Long audio is split into stretches that the encoder hears."""
    card = new_card(tmp_path, seconds=24)
    audio = build_network(card.architecture, weights_folder=tmp_path).model.encoders["audio"]
    heard = audio(batch_of(card, window(0, seconds=24)))
    assert heard.mask.tolist() == [[True, True, True]]  # 6 s, and 12 s in two
    assert heard.times[0].tolist() == pytest.approx([3 / 24, 15 / 24, 21 / 24])


def test_a_checkpoint_holds_the_head_only_and_is_served(card: Card, tmp_path: Path) -> None:
    """A checkpoint holds the head only and is served."""
    torch.manual_seed(0)
    network = build_network(card.architecture, weights_folder=tmp_path)
    save_checkpoint(tmp_path / "moods", network.model, card)
    loaded = load_checkpoint(tmp_path / "moods", weights_folder=tmp_path)
    assert loaded.card.architecture.encoders["video"].source.startswith("folder:")
    assert not [
        name
        for name in _stored(tmp_path / "moods.safetensors")
        if name.startswith(("encoders.video", "encoders.audio"))
    ]
    model = build_model(ModelChoice(str(tmp_path / "moods"), frames=3, window_ns=2 * NS, device="cpu"))
    model.warm()
    first, second, other = model.predict([window(seed=1), window(0, sound=False), window(seed=3)])
    assert first.predictions is not None
    assert {score.label for score in first.predictions["target"]} == {"sad", "glad"}
    assert first.visual == ()  # the labels of ImageNet are read from the encoder that is pulled, which this is not
    assert first.embedding != other.embedding
    assert second.shares == {"video": 0.0, "audio": 0.0, "subtitles": 1.0}


def test_only_the_head_learns(card: Card, tmp_path: Path) -> None:
    """Only the head learns."""
    model = build_network(card.architecture, weights_folder=tmp_path).model.train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=1.0)
    features = model.features(model.encode(batch_of(card, window(), window(seed=1))))
    torch.nn.functional.cross_entropy(model.apply_heads(features)["target"], torch.tensor([0, 1])).backward()
    optimizer.step()
    changed = {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])}
    assert any(name.startswith("heads.") for name in changed)
    assert not [name for name in changed if name.startswith(("encoders.video", "encoders.audio"))]


def test_other_files_than_the_model_was_trained_with_are_refused(tmp_path: Path) -> None:
    """Other files than the model was trained with are refused."""
    card = new_card(tmp_path)
    save_checkpoint(tmp_path / "moods", build_network(card.architecture, weights_folder=tmp_path).model, card)
    load_checkpoint(tmp_path / "moods", weights_folder=tmp_path)
    tiny_models.tiny_siglip(tmp_path / "siglip", seed=1)
    with pytest.raises(CardError, match=r"the video encoder: expected the files of folder:.* got "):
        load_checkpoint(tmp_path / "moods", weights_folder=tmp_path)


def test_a_model_of_another_modality_is_refused(card: Card, tmp_path: Path) -> None:
    """A model of another modality is refused."""
    video = card.architecture.encoders["video"]
    with pytest.raises(UsageError, match="expected a model of sounds and texts"):
        build_network(card.architecture.model_copy(update={"encoders": {"audio": video}}), weights_folder=tmp_path)
    with pytest.raises(UsageError, match="expected video or audio for a foundation model"):
        foundation_encoder_card("text", video.source, tmp_path)


def test_the_checksum_of_cards_without_a_source_is_what_it_was() -> None:
    """The checksum of cards without a source is what it was."""
    assert "source" not in EncoderCard(kind="small").model_dump(mode="json")
    with pytest.raises(ValueError, match="foundation: expected a frozen encoder with the checksum of its files"):
        EncoderCard(kind="foundation", source="folder:x")
    with pytest.raises(ValueError, match="source: expected one for a foundation encoder only"):
        EncoderCard(kind="small", source="folder:x")


def _stored(path: Path) -> list[str]:
    from safetensors.torch import load_file

    return list(load_file(path))
