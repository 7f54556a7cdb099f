"""The pretrained encoders as parts of a trained model: frozen, or to be tuned, and each token with its time."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from triptych.models.network.collate import WindowBatch
from triptych.models.network.parts import Encoded, Encoder
from triptych.models.pretrained.sentence import SentenceEncoder, cue_indices
from triptych.models.pretrained.silero import STEP_SAMPLES
from triptych.models.pretrained.tokenizer import START_ID


class PretrainedEncoder(Encoder):
    """Run a pretrained encoder, and say when each of its tokens is.

    Args:
        modality: which one it encodes.
        encoder: with its weights.
        frozen: leave the weights as they are: then no gradient is kept, and a checkpoint need not hold them.
    """

    def __init__(self, modality: str, encoder: Encoder, *, frozen: bool) -> None:
        super().__init__()
        self.dim = encoder.dim
        self.frozen = frozen
        self._modality = modality
        if not frozen and isinstance(encoder, SentenceEncoder):
            _make_parameters(encoder)
        self.encoder = encoder.requires_grad_(not frozen)

    def forward(self, batch: WindowBatch) -> Encoded:
        """Return the encoder's own tokens, with times."""
        if self.frozen:
            with torch.no_grad():
                encoded = self.encoder(batch)
        else:
            encoded = self.encoder(batch)
        return Encoded(encoded.tokens, encoded.mask, _times(self._modality, batch, encoded))

    def train(self, mode: bool = True) -> PretrainedEncoder:  # noqa: FBT001, FBT002 - torch's own signature
        """Keep a frozen encoder as it answers when it serves."""
        super().train(mode and not self.frozen)
        return self


def is_frozen_part(name: str, frozen: Iterable[str]) -> bool:
    """Say whether a tensor of a model's state belongs to a frozen pretrained encoder, by the modalities that are."""
    return any(name.startswith(f"encoders.{modality}.") for modality in frozen)


def _times(modality: str, batch: WindowBatch, encoded: Encoded) -> Tensor:
    if modality == "video":
        return batch.video_t
    if batch.is_dense:
        return _whole_times(modality, batch, encoded)
    times = encoded.tokens.new_zeros(encoded.mask.shape)
    for row in batch.rows_with(modality):
        own = _sound_times(batch, row) if modality == "audio" else batch.text_t[row][batch.text[row] == START_ID]
        times[row, : own.shape[0]] = own
    return times


def _whole_times(modality: str, batch: WindowBatch, encoded: Encoded) -> Tensor:
    """Return the times in a batch that is run whole: sound has no gaps, and every token of a cue has its time."""
    rows, steps = encoded.mask.shape
    if modality == "audio":
        times = torch.arange(steps, device=batch.audio.device) * (STEP_SAMPLES / batch.audio.shape[1])
        return times.expand(rows, steps)
    at = batch.text_t.new_zeros(rows, steps + 1)
    return at.scatter(1, cue_indices(batch.text, batch.text_mask), batch.text_t)[:, :steps]


def _sound_times(batch: WindowBatch, row: int) -> Tensor:
    """Return when each step of a row's sound is, in a window whose gaps the encoder left out."""
    samples = batch.audio.shape[1]
    device = batch.audio.device
    places = torch.cat([torch.arange(start, end, device=device) for start, end in batch.audio_spans[row]])
    return places[::STEP_SAMPLES] / samples


def _make_parameters(module: nn.Module) -> None:
    """Let a network be tuned that was built to answer only; its table of words, which is quantised, stays."""
    for part in module.modules():
        for name, buffer in list(part.named_buffers(recurse=False)):
            if buffer.is_floating_point():
                delattr(part, name)
                part.register_parameter(name, nn.Parameter(buffer))
