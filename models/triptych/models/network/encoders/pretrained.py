"""The pretrained encoders as parts of a trained model: frozen or fine-tuned, with a time for each token."""

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
    """Run a pretrained encoder and add the time of each token.

    Args:
        modality: the modality that it encodes.
        encoder: the encoder with its weights.
        frozen: do not train the weights. No gradients are computed, and checkpoints do not contain the weights.
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
        """Return the encoder's tokens, float [B, N, dim], with times."""
        if self.frozen:
            with torch.no_grad():
                encoded = self.encoder(batch)
        else:
            encoded = self.encoder(batch)
        return Encoded(encoded.tokens, encoded.mask, _times(self._modality, batch, encoded))

    def train(self, mode: bool = True) -> PretrainedEncoder:  # noqa: FBT001, FBT002 - torch's own signature
        """Set the training mode, but keep a frozen encoder in evaluation mode."""
        super().train(mode and not self.frozen)
        return self


def is_frozen_part(name: str, frozen: Iterable[str]) -> bool:
    """Return whether a state dict key belongs to the frozen encoder of one of the given modalities."""
    return any(name.startswith(f"encoders.{modality}.") for modality in frozen)


def _times(modality: str, batch: WindowBatch, encoded: Encoded) -> Tensor:
    """Return the times of the tokens of one modality relative to the window, float [B, N]."""
    if modality == "video":
        return batch.video_t
    if batch.is_dense:
        return _dense_times(modality, batch, encoded)
    times = encoded.tokens.new_zeros(encoded.mask.shape)
    for row in batch.rows_with(modality):
        own = _audio_times(batch, row) if modality == "audio" else batch.text_t[row][batch.text[row] == START_ID]
        times[row, : own.shape[0]] = own
    return times


def _dense_times(modality: str, batch: WindowBatch, encoded: Encoded) -> Tensor:
    """Return the token times of a dense batch, float32 [B, N].

    Its audio has no gaps, and each token has its cue's time.
    """
    rows, steps = encoded.mask.shape
    if modality == "audio":
        times = torch.arange(steps, device=batch.audio.device) * (STEP_SAMPLES / batch.audio.shape[1])
        return times.expand(rows, steps)
    at = batch.text_t.new_zeros(rows, steps + 1)
    return at.scatter(1, cue_indices(batch.text, batch.text_mask), batch.text_t)[:, :steps]


def _audio_times(batch: WindowBatch, row: int) -> Tensor:
    """Return the times of a row's audio steps, float [F].

    The encoder concatenates the present samples without the gaps.
    """
    samples = batch.audio.shape[1]
    device = batch.audio.device
    samples_present = torch.cat([torch.arange(start, end, device=device) for start, end in batch.audio_spans[row]])
    return samples_present[::STEP_SAMPLES] / samples


def _make_parameters(module: nn.Module) -> None:
    """Convert the float buffers of an inference-only network to parameters, so that it can be trained.

    The quantised word table is an integer buffer and stays as it is.
    """
    for part in module.modules():
        for name, buffer in list(part.named_buffers(recurse=False)):
            if buffer.is_floating_point():
                delattr(part, name)
                part.register_parameter(name, nn.Parameter(buffer))
