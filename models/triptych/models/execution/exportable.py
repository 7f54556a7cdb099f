"""A network as a function of tensors: what an exported graph is made of, and which batches such a graph may run.

Eager networks leave out rows and modalities that are not there, and so run other operations for other batches. Run
whole, every row costs the same, and masks say what counts.
"""

from __future__ import annotations

from collections.abc import Collection

from torch import Tensor, nn

from triptych.models.network.collate import WindowBatch
from triptych.models.pretrained.sentence import WHOLE_CUES

LEAST_TOKENS = 2
"""A graph's text is at least so long: torch takes a length of 1 for a constant."""
_TOKEN_STEP = 8
"""Text is a multiple of so many tokens long: oneDNN keeps what it made for each new shape."""


class WholeNetwork(nn.Module):
    """Take the tensors of a batch, in the order of `WindowBatch.tensors`, with any number of rows."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, *tensors: Tensor) -> dict[str, Tensor]:
        """Return what the network says of all rows."""
        video, video_mask, video_t, audio, audio_mask, text, text_mask, text_t = tensors
        batch = WindowBatch(
            video=video,
            video_mask=video_mask,
            video_t=video_t,
            audio=audio,
            audio_mask=audio_mask,
            text=text,
            text_mask=text_mask,
            text_t=text_t,
            frame_counts=(),
            audio_spans=(),
            cue_counts=(),
            is_whole=True,
        )
        said: dict[str, Tensor] = self.network(batch)
        return said


def whole_tensors(batch: WindowBatch, modalities: Collection[str]) -> tuple[Tensor, ...] | None:
    """Return the tensors of a batch without its spare rows and tokens; None where it had better be run eagerly.

    That is where a graph would say something else (the speech encoder puts sound with gaps together, more cues than
    `WHOLE_CUES` are not told apart), and where it would run more than it need: where one of the modalities that a
    network reads is missing in most rows.
    """
    there = {modality: batch.rows_with(modality) for modality in modalities}
    rows = 1 + max((row for found in there.values() for row in found), default=-1)
    if any(2 * len(found) < rows or not found for found in there.values()):
        return None
    has_gaps = any(spans and (len(spans) > 1 or spans[0][0] > 0) for spans in batch.audio_spans)
    if has_gaps or max(batch.cue_counts) > WHOLE_CUES:
        return None
    used = int(batch.text_mask.sum(1).max()) if batch.text_mask.numel() else 0
    tokens = min(batch.text.shape[1], max(LEAST_TOKENS, -(-used // _TOKEN_STEP) * _TOKEN_STEP))
    *others, text, text_mask, text_t = (tensor[:rows] for tensor in batch.tensors())
    return (*others, *(tensor[:, :tokens].contiguous() for tensor in (text, text_mask, text_t)))
