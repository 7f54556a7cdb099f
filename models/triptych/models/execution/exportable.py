"""A network as a function of tensors, as torch.export needs it, and the batches that such a graph can run.

Eager networks skip missing rows and modalities, so their operations depend on the batch. A dense batch runs every row
in full, and only masks tell which data is present.
"""

from __future__ import annotations

from collections.abc import Collection

from torch import Tensor, nn

from triptych.models.network.collate import WindowBatch
from triptych.models.pretrained.sentence import MAX_GRAPH_CUES

MIN_TOKENS = 2
"""Minimum text length of a graph: torch specialises on a length of 1."""
_TOKEN_STEP = 8
"""The text length is rounded up to a multiple of this: oneDNN caches code for each new shape."""


class TensorNetwork(nn.Module):
    """A network that takes the tensors of a batch, in the order of `WindowBatch.tensors`, with any number of rows."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, *tensors: Tensor) -> dict[str, Tensor]:
        """Return the outputs of all rows by name, each [B, ...]. See `WindowBatch` for the shapes of the inputs."""
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
            is_dense=True,
        )
        outputs: dict[str, Tensor] = self.network(batch)
        return outputs


def graph_inputs(batch: WindowBatch, modalities: Collection[str]) -> tuple[Tensor, ...] | None:
    """Return the tensors of a batch without unused rows and tokens, or None if the batch must run eagerly.

    A batch must run eagerly if a graph would give other outputs: if audio has gaps, because the speech encoder
    concatenates the present samples, or if a row has more cues than `MAX_GRAPH_CUES`. It also runs eagerly if a graph
    would be slower, because a modality that the network reads is missing in most rows.

    Returns:
        The tensors of `WindowBatch.tensors`, with B' <= B rows and L' <= L text tokens.
    """
    present = {modality: batch.rows_with(modality) for modality in modalities}
    rows = 1 + max((row for found in present.values() for row in found), default=-1)
    if any(2 * len(found) < rows or not found for found in present.values()):
        return None
    has_gaps = any(spans and (len(spans) > 1 or spans[0][0] > 0) for spans in batch.audio_spans)
    if has_gaps or max(batch.cue_counts) > MAX_GRAPH_CUES:
        return None
    used = int(batch.text_mask.sum(1).max()) if batch.text_mask.numel() else 0
    tokens = min(batch.text.shape[1], max(MIN_TOKENS, -(-used // _TOKEN_STEP) * _TOKEN_STEP))
    *others, text, text_mask, text_t = (tensor[:rows] for tensor in batch.tensors())
    return (*others, *(tensor[:, :tokens].contiguous() for tensor in (text, text_mask, text_t)))
