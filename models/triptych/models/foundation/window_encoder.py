"""Foundation models as frozen encoders of trained models: a token for each frame, or for each part of the audio."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from triptych.models.checkpoints.card import CardError, EncoderCard
from triptych.models.foundation.encoders.joint_encoder import PictureEncoder, SoundEncoder
from triptych.models.foundation.files.model_files import ModelFiles, find_model_files
from triptych.models.foundation.space import picture_encoder, sound_encoder
from triptych.models.network.collate import WindowBatch
from triptych.models.network.parts import Encoded, Encoder
from triptych.models.pretrained.silero import SAMPLE_RATE_HZ
from triptych.schemas.errors import UsageError

_CPU = torch.device("cpu")


class FrameVectors(Encoder):
    """Encode each frame as its vector in a space of pictures and texts. No gradients are computed.

    Args:
        encoder: the encoder of pictures.
    """

    def __init__(self, encoder: PictureEncoder) -> None:
        super().__init__()
        self.dim = encoder.dimensions
        self.network = encoder.network  # registered, so that it moves with this module
        self._encoder = encoder

    def forward(self, batch: WindowBatch) -> Encoded:
        """Return a token of length 1 for each frame, float32 [B, T, dim]."""
        _require_eager(batch)
        tokens = torch.zeros(*batch.video_mask.shape, self.dim, device=batch.video.device)
        if batch.video_mask.any():
            frames = batch.video[batch.video_mask].cpu().numpy()  # uint8 [F, H, W, 3]
            tokens[batch.video_mask] = self._encoder.embed_pictures(list(frames))
        return Encoded(tokens, batch.video_mask, batch.video_t)

    def train(self, mode: bool = True) -> FrameVectors:  # noqa: ARG002, FBT001, FBT002 - torch's own signature
        """Stay in evaluation mode."""
        super().train(mode=False)
        return self


class SoundVectors(Encoder):
    """Encode the audio as vectors in a space of sounds and texts: one for each stretch that the encoder hears at once.

    No gradients are computed.

    Args:
        encoder: the encoder of sounds.
    """

    def __init__(self, encoder: SoundEncoder) -> None:
        super().__init__()
        self.dim = encoder.dimensions
        self.network = encoder.network
        self._encoder = encoder

    def forward(self, batch: WindowBatch) -> Encoded:
        """Return tokens of length 1, float32 [B, N, dim], each at the middle of its stretch of audio."""
        _require_eager(batch)
        rows, samples = batch.audio.shape
        stretches = [self._stretches(spans) for spans in batch.audio_spans]
        steps = max(1, *map(len, stretches)) if stretches else 1
        tokens = torch.zeros(rows, steps, self.dim, device=batch.audio.device)
        mask = torch.zeros(rows, steps, dtype=torch.bool, device=batch.audio.device)
        times = torch.zeros(rows, steps, device=batch.audio.device)
        sounds = []
        for row, own in enumerate(stretches):
            for step, (start, end) in enumerate(own):
                sounds.append(self._resampled(batch.audio[row, start:end]))
                mask[row, step] = True
                times[row, step] = (start + end) / 2 / samples
        if sounds:
            tokens[mask] = self._encoder.embed_sounds(sounds)
        return Encoded(tokens, mask, times)

    def train(self, mode: bool = True) -> SoundVectors:  # noqa: ARG002, FBT001, FBT002 - torch's own signature
        """Stay in evaluation mode."""
        super().train(mode=False)
        return self

    def _stretches(self, spans: tuple[tuple[int, int], ...]) -> list[tuple[int, int]]:
        """Split each range of samples evenly into ranges that the encoder hears at once."""
        longest = self._encoder.max_samples * SAMPLE_RATE_HZ // self._encoder.sample_rate_hz
        found = []
        for start, end in spans:
            edges = np.linspace(start, end, -(-(end - start) // longest) + 1).astype(int).tolist()
            found += list(pairwise(edges))
        return found

    def _resampled(self, samples: Tensor) -> NDArray[np.float32]:
        from torchaudio.functional import resample  # type: ignore[import-untyped]  # noqa: PLC0415 - slow to import

        sound: NDArray[np.float32] = resample(
            samples.float().cpu(), SAMPLE_RATE_HZ, self._encoder.sample_rate_hz
        ).numpy()
        return sound[: self._encoder.max_samples]


def _require_eager(batch: WindowBatch) -> None:
    """Raise `RuntimeError` if the network is being exported: preprocessing is no function of tensors."""
    if batch.is_dense:
        raise RuntimeError("a foundation model as encoder cannot be exported; it runs eagerly")


def build_window_encoder(modality: str, card: EncoderCard, cache: Path) -> Encoder:
    """Build the encoder of a modality from the files that its card names.

    Raises:
        CardError: the files are not those that the model was trained with.
        UsageError: the files are not on this machine, or hold a model of another kind.
    """
    files = find_model_files(card.source, cache=cache)
    if card.sha256 != (files.sha256,):
        raise CardError(
            f"the {modality} encoder: expected the files of {card.source} that the model was trained with (sha256 "
            f"{', '.join(card.sha256)}), got {files.sha256}"
        )
    if modality == "video":
        return FrameVectors(picture_encoder(files, _CPU))
    if modality == "audio":
        return SoundVectors(sound_encoder(files, _CPU))
    raise UsageError(f"the {modality} encoder: expected video or audio for a foundation model; use small or frozen")


def foundation_encoder_card(modality: str, source: str, cache: Path) -> EncoderCard:
    """Return the card of an encoder from the files of a source.

    Raises:
        UsageError: the files are not on this machine, or the modality has no such encoders.
    """
    if modality not in {"video", "audio"}:
        raise UsageError(f"--encoder {modality}={source}: expected video or audio for a foundation model")
    files: ModelFiles = find_model_files(source, cache=cache)
    return EncoderCard(kind="foundation", frozen=True, source=str(files.source), sha256=(files.sha256,))
