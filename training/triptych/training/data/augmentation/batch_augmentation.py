"""The default augmentation of training: small random changes of video, audio and text.

It works on the tensors of a whole batch, so that it is cheap enough for every step. `window_augmentation` does more, on
single windows. Labels stay valid. Masks and missing modalities do not change.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from triptych.models.model import InputSpec
from triptych.models.network.collate import WindowBatch, collate, empty_batch
from triptych.models.network.encoders.hashed_words import BITS, PRESENT, SLOTS, hash_words, split_words
from triptych.models.window import PreparedWindow


@dataclass(frozen=True, slots=True)
class Jitter:
    """The strength of the changes.

    Attributes:
        shift: maximum shift of a window's frames, as a share of their size.
        colour: maximum relative change of each colour channel.
        pixel_noise: maximum standard deviation of pixel noise, on the scale 0 to 255.
        gain: maximum relative change of the audio's amplitude.
        snr_db: lowest signal-to-noise ratio in decibels; the highest is 30 dB more.
        words: probability of replacing a word, and of replacing each hash slot of a word. Only for hashed words.
    """

    shift: float = 0.06
    colour: float = 0.2
    pixel_noise: float = 8.0
    gain: float = 0.4
    snr_db: float = 15.0
    words: float = 0.1


def jitter_batch(batch: WindowBatch, how: Jitter, rng: torch.Generator, *, hashed_words: bool) -> WindowBatch:
    """Return a changed copy of a batch on the CPU.

    Args:
        batch: the batch.
        how: strength of the changes.
        rng: source of randomness.
        hashed_words: whether the text tokens are hashed words. Other tokens do not change.
    """
    return replace(
        batch,
        video=_jitter_video(batch.video, how, rng) if any(batch.frame_counts) else batch.video,
        audio=_jitter_audio(batch.audio, how, rng) if any(batch.audio_spans) else batch.audio,
        text=_jitter_text(batch.text, batch.text_mask, how, rng) if hashed_words else batch.text,
    )


def jitter_window(window: PreparedWindow, spec: InputSpec, how: Jitter, rng: torch.Generator) -> PreparedWindow:
    """Return a window as a training step may get it, for display.

    Words are hashed before they change, so a changed word has no spelling: a word with all slots replaced is shown as
    `▢`, a word with some slots replaced is followed by `~`.
    """
    before = collate([window], empty_batch(1, len(window.audio_f32), spec), hash_words)
    after = jitter_batch(before, how, rng, hashed_words=True)
    old, new = (batch.text[0].tolist() for batch in (before, after))
    cues, first = [], 0
    for cue in window.cues:
        count = len(hash_words(cue.text))
        current = slice(first + 1, first + count - 1)  # a cue has a start token and an end token
        cues.append(replace(cue, text=_marked(split_words(cue.text), old[current], new[current])))
        first += count
    return replace(
        window,
        frames_hwc_u8=tuple(after.video[0, place].numpy() for place in range(len(window.frames_hwc_u8))),
        audio_f32=after.audio[0].numpy(),
        cues=tuple(cues),
    )


def _marked(words: Sequence[str], old: Sequence[int], new: Sequence[int]) -> str:
    marked = list(words)
    for place, (before, after) in enumerate(zip(old, new, strict=True)):  # the token limit may cut off words
        others = sum(_slot(before, slot) != _slot(after, slot) for slot in range(SLOTS))
        marked[place] += "~" if others else ""
        marked[place] = "▢" if others == SLOTS else marked[place]
    return " ".join(marked)


def _slot(token: int, slot: int) -> int:
    return (token >> (slot * BITS)) & ((1 << BITS) - 1)


def _jitter_video(video: Tensor, how: Jitter, rng: torch.Generator) -> Tensor:
    """Shift and recolour the frames of each window alike: uint8 [B, T, H, W, 3]."""
    rows, _, height, width, _ = video.shape
    farthest = round(how.shift * min(height, width))
    moved = torch.empty_like(video)
    for row in range(rows):
        down, right = torch.randint(-farthest, farthest + 1, (2,), generator=rng).tolist()
        lines = (torch.arange(height) + down).clamp(0, height - 1)
        columns = (torch.arange(width) + right).clamp(0, width - 1)
        moved[row] = video[row][:, lines][:, :, columns]
    gains = 1 + how.colour * _between_minus_and_plus_one((rows, 1, 1, 1, 3), rng)
    levels = how.pixel_noise * torch.rand((rows, 1, 1, 1, 1), generator=rng)
    noise = torch.randn(video.shape, generator=rng) * levels
    return (moved * gains + noise).round().clamp(0, 255).to(torch.uint8)


def _jitter_audio(audio: Tensor, how: Jitter, rng: torch.Generator) -> Tensor:
    """Change gain and add noise: float32 [B, S]. Zeros, which stand for missing audio, stay zero."""
    gains = 1 + how.gain * _between_minus_and_plus_one((audio.shape[0], 1), rng)
    distance_db = how.snr_db + 30 * torch.rand((audio.shape[0], 1), generator=rng)
    level = audio.square().mean(1, keepdim=True).sqrt() * 10 ** (-distance_db / 20)
    noise = torch.randn(audio.shape, generator=rng) * level * (audio != 0)
    return (gains * (audio + noise)).clamp(-1, 1)


def _jitter_text(text: Tensor, mask: Tensor, how: Jitter, rng: torch.Generator) -> Tensor:
    """Replace random words and hash slots: int64 [B, L] tokens, bool [B, L] mask. So unknown words carry no meaning."""
    other = torch.randint(1 << BITS, (*text.shape, SLOTS), generator=rng)
    whole = torch.rand(text.shape, generator=rng) < how.words
    parts = torch.rand((*text.shape, SLOTS), generator=rng) < how.words
    changed = torch.full_like(text, PRESENT)
    for slot in range(SLOTS):
        current = (text >> (slot * BITS)) & ((1 << BITS) - 1)
        changed |= torch.where(whole | parts[..., slot], other[..., slot], current) << (slot * BITS)
    return torch.where(mask, changed, text)


def _between_minus_and_plus_one(shape: tuple[int, ...], rng: torch.Generator) -> Tensor:
    return 2 * torch.rand(shape, generator=rng) - 1
