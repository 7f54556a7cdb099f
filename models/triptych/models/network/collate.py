"""Collate prepared windows into tensors of fixed shapes, with a mask for each modality.

A missing modality is masked. It is never represented by zeros alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from triptych.models.model import InputSpec
from triptych.models.pretrained.tokenizer import Tokenize
from triptych.models.window import PreparedWindow

AUDIO_TOKEN_SAMPLES = 512
"""Samples per element of the audio mask (32 ms at 16 kHz, the step of the voice activity detector)."""


@dataclass(frozen=True, slots=True)
class WindowBatch:
    """B windows with at most T frames, S samples, Ta audio tokens and L text tokens each.

    Attributes:
        video: uint8 [B, T, H, W, 3]; the frames of a row come first, in time order.
        video_mask: bool [B, T], true for frames that exist.
        video_t: float32 [B, T], time of each frame relative to the window, 0 to 1.
        audio: float32 [B, S], each sample at its position in the window.
        audio_mask: bool [B, Ta], true where a token contains any real sample.
        text: int64 [B, L] token ids, cue after cue, each between a start and an end token; L is 0 for a model that does
            not read text.
        text_mask: bool [B, L], true for tokens that exist.
        text_t: float32 [B, L], start time of the token's cue relative to the window, 0 to 1.
        frame_counts: number of frames of each row, on the host, so that reading it does not synchronise with the
            device.
        audio_spans: half-open ranges of real samples of each row, on the host.
        cue_counts: number of cues of each row that are in `text`, on the host.
        feature_lengths: number of feature steps of each row by modality, on the host.
        features: float32 [B, T, D] by modality, for models that read precomputed features.
        is_dense: whether every row runs in full, and only masks tell which data exists. The network is then a function
            of tensors, as torch.export needs it, and the host-side counts are empty.
    """

    video: Tensor
    video_mask: Tensor
    video_t: Tensor
    audio: Tensor
    audio_mask: Tensor
    text: Tensor
    text_mask: Tensor
    text_t: Tensor
    frame_counts: tuple[int, ...]
    audio_spans: tuple[tuple[tuple[int, int], ...], ...]
    cue_counts: tuple[int, ...]
    feature_lengths: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    features: Mapping[str, Tensor] = field(default_factory=dict)
    is_dense: bool = False

    def has(self, modality: str) -> bool:
        """Return whether any row may have the modality."""
        return self.is_dense or bool(self.rows_with(modality))

    def rows_with(self, modality: str) -> tuple[int, ...]:
        """Return the indices of the rows that have the modality."""
        there: dict[str, Sequence[object]] = {
            "video": self.frame_counts,
            "audio": self.audio_spans,
            "text": self.cue_counts,
        }
        content = self.feature_lengths[modality] if modality in self.feature_lengths else there[modality]
        return tuple(row for row, own in enumerate(content) if own)

    def tensors(self) -> tuple[Tensor, ...]:
        """Return the tensors of media and text in the order of the fields, without features."""
        return (
            self.video,
            self.video_mask,
            self.video_t,
            self.audio,
            self.audio_mask,
            self.text,
            self.text_mask,
            self.text_t,
        )

    def map_tensors(self, change: Callable[[Tensor], Tensor]) -> WindowBatch:
        """Apply a function to each tensor. The host-side counts do not change."""
        video, video_mask, video_t, audio, audio_mask, text, text_mask, text_t = map(change, self.tensors())
        return WindowBatch(
            video=video,
            video_mask=video_mask,
            video_t=video_t,
            audio=audio,
            audio_mask=audio_mask,
            text=text,
            text_mask=text_mask,
            text_t=text_t,
            frame_counts=self.frame_counts,
            audio_spans=self.audio_spans,
            cue_counts=self.cue_counts,
            feature_lengths=self.feature_lengths,
            features={modality: change(tensor) for modality, tensor in self.features.items()},
            is_dense=self.is_dense,
        )

    def to(self, device: torch.device, *, non_blocking: bool = True) -> WindowBatch:
        """Copy to a device. With `non_blocking`, copies from pinned memory do not block the host."""
        return self.map_tensors(lambda tensor: tensor.to(device, non_blocking=non_blocking))


def empty_batch(rows: int, samples: int, spec: InputSpec, *, pinned: bool = False) -> WindowBatch:
    """Allocate a batch in which everything is masked.

    Args:
        rows: number of rows, B.
        samples: audio samples per row, S.
        spec: determines the other sizes.
        pinned: allocate pinned memory, from which copies to a GPU are faster. Allocating it is slow, so it is reused.
    """
    tokens = -(-samples // AUDIO_TOKEN_SAMPLES)
    return WindowBatch(
        video=torch.zeros(rows, spec.frames, spec.height, spec.width, 3, dtype=torch.uint8, pin_memory=pinned),
        video_mask=torch.zeros(rows, spec.frames, dtype=torch.bool, pin_memory=pinned),
        video_t=torch.zeros(rows, spec.frames, pin_memory=pinned),
        audio=torch.zeros(rows, samples, pin_memory=pinned),
        audio_mask=torch.zeros(rows, tokens, dtype=torch.bool, pin_memory=pinned),
        text=torch.zeros(rows, spec.text_tokens, dtype=torch.int64, pin_memory=pinned),
        text_mask=torch.zeros(rows, spec.text_tokens, dtype=torch.bool, pin_memory=pinned),
        text_t=torch.zeros(rows, spec.text_tokens, pin_memory=pinned),
        frame_counts=(0,) * rows,
        audio_spans=((),) * rows,
        cue_counts=(0,) * rows,
        feature_lengths={own.modality: (0,) * rows for own in spec.features},
        features={own.modality: torch.zeros(rows, own.steps, own.dims, pin_memory=pinned) for own in spec.features},
    )


def collate(windows: Sequence[PreparedWindow], into: WindowBatch, tokenize: Tokenize | None = None) -> WindowBatch:
    """Fill an allocated batch with windows. There may be fewer windows than rows; the remaining rows are masked.

    Args:
        windows: the windows, all of the same length.
        into: the batch to fill. The result shares its memory, so it is valid until the next call.
        tokenize: converts the text of a cue to token ids; None leaves the text empty.
    """
    rows = len(into.frame_counts)
    for mask in (into.video_mask, into.audio_mask, into.text_mask):
        mask.zero_()
    cue_counts = []
    for row, window in enumerate(windows):
        _fill_video(into, row, window)
        _fill_audio(into, row, window)
        cue_counts.append(0 if tokenize is None else _fill_text(into, row, window, tokenize))
    spare = rows - len(windows)
    return replace(
        into,
        frame_counts=tuple(len(window.frames_hwc_u8) for window in windows) + (0,) * spare,
        audio_spans=tuple(window.audio_present for window in windows) + ((),) * spare,
        cue_counts=tuple(cue_counts) + (0,) * spare,
        feature_lengths={modality: _fill_features(into, modality, windows) for modality in into.features},
    )


def _fill_video(batch: WindowBatch, row: int, window: PreparedWindow) -> None:
    length_ns = window.end_ns - window.start_ns
    frames = batch.video.numpy()[row]  # uint8 [T, H, W, 3]
    for index, (frame, time_ns) in enumerate(zip(window.frames_hwc_u8, window.frame_times_ns, strict=True)):
        frames[index] = frame
        batch.video_t[row, index] = (time_ns - window.start_ns) / length_ns
        batch.video_mask[row, index] = True


def _fill_audio(batch: WindowBatch, row: int, window: PreparedWindow) -> None:
    if not window.audio_present:
        return
    batch.audio.numpy()[row] = window.audio_f32
    for start, end in window.audio_present:
        batch.audio_mask[row, start // AUDIO_TOKEN_SAMPLES : -(-end // AUDIO_TOKEN_SAMPLES)] = True


def _fill_features(batch: WindowBatch, modality: str, windows: Sequence[PreparedWindow]) -> tuple[int, ...]:
    """Copy the features of a modality into their rows, truncated to T steps. Return the number of steps of each row."""
    target = batch.features[modality]
    lengths = [0] * target.shape[0]
    for row, window in enumerate(windows):
        own = window.features.get(modality)
        if own is not None:
            lengths[row] = min(len(own), target.shape[1])
            target.numpy()[row, : lengths[row]] = own[: lengths[row]]
    return tuple(lengths)


def _fill_text(batch: WindowBatch, row: int, window: PreparedWindow, tokenize: Tokenize) -> int:
    """Write the tokens of the cues one after the other, truncated to L tokens.

    Return the number of cues with any token.
    """
    max_tokens = batch.text.shape[1]
    length_ns = window.end_ns - window.start_ns
    filled = 0
    for index, cue in enumerate(window.cues):
        if filled == max_tokens:
            return index
        ids = tokenize(cue.text)[: max_tokens - filled]
        own = slice(filled, filled + len(ids))
        batch.text[row, own] = torch.tensor(ids)
        batch.text_mask[row, own] = True
        batch.text_t[row, own] = min(max((cue.start_ns - window.start_ns) / length_ns, 0.0), 1.0)
        filled = own.stop
    return len(window.cues)
