"""Change training windows a little, so that only what matters is learnt: pictures, sound and words, each its own way.

What is true of a window stays true. Masks, and what is not there, are left alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from triptych.worker.models.batch import WindowBatch
from triptych.worker.models.encoders.hashed_words import BITS, PRESENT, SLOTS


@dataclass(frozen=True, slots=True)
class Augmentation:
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


def augmented(batch: WindowBatch, how: Augmentation, chance: torch.Generator, *, hashed_words: bool) -> WindowBatch:
    """Return a changed copy of a batch on the CPU."""
    return replace(
        batch,
        video=_pictures(batch.video, how, chance) if any(batch.frame_counts) else batch.video,
        audio=_sound(batch.audio, how, chance) if any(batch.audio_spans) else batch.audio,
        text=_words(batch.text, batch.text_mask, how, chance) if hashed_words else batch.text,
    )


def _pictures(video: Tensor, how: Augmentation, chance: torch.Generator) -> Tensor:
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


def _sound(audio: Tensor, how: Augmentation, chance: torch.Generator) -> Tensor:
    """Make sound [B, S] louder or softer, and noisier; silence that stands for nothing stays."""
    gains = 1 + how.gain * _between_minus_and_plus_one((audio.shape[0], 1), chance)
    distance_db = how.snr_db + 30 * torch.rand((audio.shape[0], 1), generator=chance)
    level = audio.square().mean(1, keepdim=True).sqrt() * 10 ** (-distance_db / 20)
    noise = torch.randn(audio.shape, generator=chance) * level * (audio != 0)
    return (gains * (audio + noise)).clamp(-1, 1)


def _words(text: Tensor, mask: Tensor, how: Augmentation, chance: torch.Generator) -> Tensor:
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
