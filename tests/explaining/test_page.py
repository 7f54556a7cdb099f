"""Explanations of a clip: attributions and attention weights add up, and one page is written.

The tests cover `gradients.py`, `rollout.py`, `windows.py` and `page.py`.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from triptych.cli import app
from triptych.explaining.rollout import attention_rollout
from triptych.explaining.windows import ExplainedWindow, explain_windows, word_scores
from triptych.models.checkpoints.card import Architecture, Card, EncoderCard, FusionCard, HeadCard, InputCard
from triptych.models.checkpoints.checkpoint import Checkpoint, save_checkpoint
from triptych.models.network.architecture import build_network
from triptych.models.network.fusions.attentive import AttentionFusion
from triptych.models.network.fusions.shape import FusionShape
from triptych.models.network.parts import Encoded
from triptych.models.window import PreparedCue, PreparedWindow
from triptych.training.data.rendering import write_clip

WINDOW_NS = 2_000_000_000


def checkpoint(fusion: str = "attention") -> Checkpoint:
    """Return a small untrained network."""
    architecture = Architecture(
        width=16,
        encoders={modality: EncoderCard(kind="small") for modality in ("video", "audio", "text")},
        fusion=FusionCard(name=fusion),
        heads=(HeadCard(name="mood", kind="multiclass", labels=("sad", "glad & <gay>")),),
    )
    shape = InputCard(frames=2, height=32, width=32, sample_rate_hz=16_000, text_tokens=16, window_ns=WINDOW_NS)
    torch.manual_seed(3)
    card = Card(name="moods", input=shape, architecture=architecture, weights_sha256="0" * 64)
    return Checkpoint(card, build_network(architecture, weights_folder=Path("nowhere")))


def window(modalities: str = "video audio text") -> PreparedWindow:
    """Return a window of noise, with a cue in two scripts."""
    noise = np.random.default_rng(1)
    sound = "audio" in modalities
    return PreparedWindow(
        stream="s",
        start_ns=0,
        end_ns=WINDOW_NS,
        frames_hwc_u8=tuple(noise.integers(0, 256, (2, 32, 32, 3), np.uint8)) if "video" in modalities else (),
        frame_times_ns=(500_000_000, 1_500_000_000) if "video" in modalities else (),
        audio_f32=noise.normal(0, 0.1 if sound else 0, 32_000).astype(np.float32),
        audio_present=((0, 32_000),) if sound else (),
        cues=(PreparedCue("so <fine> 天", 0, WINDOW_NS),) if "text" in modalities else (),
    )


@pytest.fixture(scope="module")
def explained() -> ExplainedWindow:
    """Return a complete window with its detailed explanation."""
    return explain_windows(checkpoint(), [window()], detailed_count=1, track=lambda _: None)[0]


def test_gradients_of_pixels_frequencies_and_words_add_up(explained: ExplainedWindow) -> None:
    """The sum is the difference between the score of the input and that of the baseline."""
    assert explained.detail is not None
    gradients = explained.detail.gradients
    assert gradients.pixels is not None
    assert gradients.pixels.shape == (2, 32, 32)
    assert gradients.spectrum is not None
    assert gradients.spectrum.shape[0] == 257
    assert min(np.abs(gradients.pixels).max(), np.abs(gradients.spectrum).max()) > 0
    assert gradients.gap < 0.02
    assert [word for word, _ in word_scores(explained.detail)] == ["so", "<", "fine", ">", "天"]


def test_a_missing_modality_has_no_gradients() -> None:
    """The other modalities are explained without it."""
    (own,) = explain_windows(checkpoint("concat"), [window("audio")], detailed_count=1, track=lambda _: None)
    assert own.detail is not None
    assert own.detail.gradients.pixels is None
    assert own.detail.gradients.words is None
    assert own.detail.gradients.spectrum is not None
    assert own.detail.rollout is None


def test_rollout_weights_add_up_to_one_without_masked_tokens() -> None:
    """The weights of all tokens and of the window token add up to 1, and masked tokens have none."""
    torch.manual_seed(1)
    fusion = AttentionFusion(FusionShape(("audio", "video"), 16)).eval()
    mask = torch.tensor([[True, True, False]])
    encoded = {name: Encoded(torch.randn(1, 3, 16), mask, torch.rand(1, 3)) for name in ("audio", "video")}
    with torch.no_grad():
        rolled = attention_rollout(fusion, encoded)
    assert rolled is not None
    assert all(rolled[name][0, 2] == 0 for name in rolled)
    total = sum(float(part.sum()) for part in rolled.values())
    assert 0.25 < total < 0.95  # with two blocks, at least a quarter remains at the window token


def test_the_command_draws_one_page(tmp_path: Path) -> None:
    """The HTML file is self-contained and contains the text."""
    network = checkpoint()
    save_checkpoint(tmp_path / "model", network.network.model, network.card)
    write_clip([window(), window()], tmp_path / "clip.mkv")
    arguments = [str(tmp_path / "clip.mkv"), "--model", str(tmp_path / "model"), "--out", str(tmp_path / "page")]
    answer = CliRunner().invoke(app, ["explain", *arguments, "--closer", "1"], catch_exceptions=False)

    assert answer.exit_code == 0, answer.output
    picture = cv2.imread(str(tmp_path / "page" / "explanation.png"))
    assert picture is not None
    assert picture.shape[0] > 800
    document = (tmp_path / "page" / "explanation.html").read_text(encoding="utf-8")
    assert document.count("<tr>") == 3
    assert "data:image/png;base64," in document
    assert "<fine>" not in document
    assert "://" not in document
