"""The fused model runs only parts whose input is present."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pytest
import torch
from torch import Tensor

from triptych.models.model import InputSpec
from triptych.models.network.collate import WindowBatch, collate, empty_batch
from triptych.models.network.fused import FusedModel
from triptych.models.network.parts import Encoded, Encoder, Features, Fused, Fusion, Head
from triptych.models.window import PreparedWindow

SPEC = InputSpec(frames=2, height=2, width=2, sample_rate_hz=16_000)
PICTURE = np.full((2, 2, 3), 9, np.uint8)
SOUND = np.ones(32_000, np.float32)
MakeWindow = Callable[..., PreparedWindow]


class Brightness(Encoder):
    """An encoder with one number per frame."""

    dim = 1

    def forward(self, batch: WindowBatch) -> Encoded:
        """Return the mean pixel of each frame."""
        return Encoded(batch.video.float().mean((2, 3, 4)).unsqueeze(-1), batch.video_mask)


class Level(Encoder):
    """An encoder with one number per audio token."""

    dim = 1

    def forward(self, batch: WindowBatch) -> Encoded:
        """Return the mean sample."""
        return Encoded(batch.audio.mean(1)[:, None, None], batch.audio_mask.any(1, keepdim=True))


class Sum(Fusion):
    """A fusion that sums all unmasked tokens."""

    def forward(self, encoded: Mapping[str, Encoded]) -> Fused:
        """Return [B, 1]."""
        return Fused(torch.stack([(one.tokens * one.mask[..., None]).sum(1) for one in encoded.values()]).sum(0))


class First(Head):
    """A head that returns the first token of a modality."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.source = source

    def forward(self, features: Features) -> Tensor:
        """Return [B, 1]."""
        return features.encoded[self.source].tokens[:, 0]


class Both(Head):
    """A head that returns the fused vector."""

    source = Head.FUSED

    def forward(self, features: Features) -> Tensor:
        """Return [B, 1]."""
        assert features.fused is not None
        return features.fused.vector


def model() -> FusedModel:
    """Build a model of these parts."""
    heads = {"bright": First("video"), "loud": First("audio"), "both": Both()}
    return FusedModel({"video": Brightness(), "audio": Level()}, heads, Sum())


def batch(*windows: PreparedWindow) -> WindowBatch:
    """Collate two windows."""
    return collate(windows, empty_batch(2, 32_000, SPEC))


def test_every_head_reads_its_source(make_window: MakeWindow) -> None:
    """Heads read single modalities or the fused vector."""
    outputs = model()(batch(make_window([PICTURE], SOUND), make_window(sound=SOUND)))
    assert outputs["bright"][0].item() == 9
    assert outputs["loud"].flatten().tolist() == [1, 1]
    assert outputs["both"].flatten().tolist() == [10, 1]


def test_a_modality_that_no_row_has_is_not_encoded(make_window: MakeWindow) -> None:
    """Its heads have no output, and the fusion works without it."""
    outputs = model()(batch(make_window(sound=SOUND)))
    assert sorted(outputs) == ["both", "loud"]
    assert outputs["both"].flatten().tolist() == [1, 0]


def test_an_empty_batch_has_no_outputs(make_window: MakeWindow) -> None:
    """The fusion is not run."""
    assert model()(batch(make_window())) == {}


def test_the_source_of_a_head_must_exist() -> None:
    """An invalid source is detected when the model is built."""
    with pytest.raises(ValueError, match="head both reads fused, expected one of"):
        FusedModel({"video": Brightness()}, {"both": Both()})
