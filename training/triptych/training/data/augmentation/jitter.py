"""What training does to every batch by default: pictures, sound and words change a little, each in its own way.

On the tensors of a whole batch, as it costs so little that it can be done in each step; `augment.py` does more, to one
window after the other. What is true of a window stays true. Masks, and what is not there, are left alone.
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
    """Say how much.

    Attributes:
        shift: pictures of a window move by this share of their size at most.
        colour: each colour of a window gets so much stronger or weaker at most.
        pixel_noise: deviation of the noise of pixels at most, of 255.
        gain: sound gets so much louder or softer at most.
        snr_db: the least distance of the noise under the sound, in decibels; the greatest is 30 dB more.
        words: share of words that become another word, and of parts of words likewise; only words that are hashed.
    """

    shift: float = 0.06
    colour: float = 0.2
    pixel_noise: float = 8.0
    gain: float = 0.4
    snr_db: float = 15.0
    words: float = 0.1


def jittered(batch: WindowBatch, how: Jitter, chance: torch.Generator, *, hashed_words: bool) -> WindowBatch:
    """Return a changed copy of a batch on the CPU."""
    return replace(
        batch,
        video=_pictures(batch.video, how, chance) if any(batch.frame_counts) else batch.video,
        audio=_sound(batch.audio, how, chance) if any(batch.audio_spans) else batch.audio,
        text=_words(batch.text, batch.text_mask, how, chance) if hashed_words else batch.text,
    )


def jittered_window(window: PreparedWindow, spec: InputSpec, how: Jitter, chance: torch.Generator) -> PreparedWindow:
    """Return a window as a step of training may see it, for people.

    Words are hashed before they change, so what a word has become has no name: a word that is another one is `▢`, one
    of which only parts are other ones is followed by `~`.
    """
    before = collate([window], empty_batch(1, len(window.audio_f32), spec), hash_words)
    after = jittered(before, how, chance, hashed_words=True)
    old, new = (batch.text[0].tolist() for batch in (before, after))
    cues, first = [], 0
    for cue in window.cues:
        count = len(hash_words(cue.text))
        own = slice(first + 1, first + count - 1)  # a token begins and a token ends a cue
        cues.append(replace(cue, text=_marked(split_words(cue.text), old[own], new[own])))
        first += count
    return replace(
        window,
        frames_hwc_u8=tuple(after.video[0, place].numpy() for place in range(len(window.frames_hwc_u8))),
        audio_f32=after.audio[0].numpy(),
        cues=tuple(cues),
    )


def _marked(words: Sequence[str], old: Sequence[int], new: Sequence[int]) -> str:
    marked = list(words)
    for place, (before, after) in enumerate(zip(old, new, strict=True)):  # there may be more words than are read
        others = sum(_slot(before, slot) != _slot(after, slot) for slot in range(SLOTS))
        marked[place] += "~" if others else ""
        marked[place] = "▢" if others == SLOTS else marked[place]
    return " ".join(marked)


def _slot(token: int, slot: int) -> int:
    return (token >> (slot * BITS)) & ((1 << BITS) - 1)


def _pictures(video: Tensor, how: Jitter, chance: torch.Generator) -> Tensor:
    """Move and colour the pictures of a window all in the same way: uint8 [B, T, H, W, 3]."""
    rows, _, height, width, _ = video.shape
    farthest = round(how.shift * min(height, width))
    moved = torch.empty_like(video)
    for row in range(rows):
        down, right = torch.randint(-farthest, farthest + 1, (2,), generator=chance).tolist()
        lines = (torch.arange(height) + down).clamp(0, height - 1)
        columns = (torch.arange(width) + right).clamp(0, width - 1)
        moved[row] = video[row][:, lines][:, :, columns]
    gains = 1 + how.colour * _between_minus_and_plus_one((rows, 1, 1, 1, 3), chance)
    levels = how.pixel_noise * torch.rand((rows, 1, 1, 1, 1), generator=chance)
    noise = torch.randn(video.shape, generator=chance) * levels
    return (moved * gains + noise).round().clamp(0, 255).to(torch.uint8)


def _sound(audio: Tensor, how: Jitter, chance: torch.Generator) -> Tensor:
    """Make sound [B, S] louder or softer, and noisier; silence that stands for nothing stays."""
    gains = 1 + how.gain * _between_minus_and_plus_one((audio.shape[0], 1), chance)
    distance_db = how.snr_db + 30 * torch.rand((audio.shape[0], 1), generator=chance)
    level = audio.square().mean(1, keepdim=True).sqrt() * 10 ** (-distance_db / 20)
    noise = torch.randn(audio.shape, generator=chance) * level * (audio != 0)
    return (gains * (audio + noise)).clamp(-1, 1)


def _words(text: Tensor, mask: Tensor, how: Jitter, chance: torch.Generator) -> Tensor:
    """Exchange whole words, and parts of words, for others: so unknown words come to mean nothing."""
    other = torch.randint(1 << BITS, (*text.shape, SLOTS), generator=chance)
    whole = torch.rand(text.shape, generator=chance) < how.words
    parts = torch.rand((*text.shape, SLOTS), generator=chance) < how.words
    changed = torch.full_like(text, PRESENT)
    for slot in range(SLOTS):
        own = (text >> (slot * BITS)) & ((1 << BITS) - 1)
        changed |= torch.where(whole | parts[..., slot], other[..., slot], own) << (slot * BITS)
    return torch.where(mask, changed, text)


def _between_minus_and_plus_one(shape: tuple[int, ...], chance: torch.Generator) -> Tensor:
    return 2 * torch.rand(shape, generator=chance) - 1
