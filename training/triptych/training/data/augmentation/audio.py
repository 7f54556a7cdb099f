"""Augmentation of audio: shift, noise, and masks in frequency and time.

The masks are those of SpecAugment (Park et al., 2019, arXiv 1904.08779), applied to a short-time Fourier transform.
"""

from __future__ import annotations

from random import Random
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchaudio.functional import add_noise  # type: ignore[import-untyped]

from triptych.models.window import PreparedWindow
from triptych.training.data.augmentation.config import Augmentation

Samples = NDArray[np.float32]
Ranges = tuple[tuple[int, int], ...]

_FFT: Final = 512
_HOP: Final = 128


def augment_audio(
    window: PreparedWindow, augmentation: Augmentation, rng: Random, *, rate_hz: int
) -> tuple[Samples, Ranges]:
    """Return the samples, float32 [S], and the ranges of samples that have audio. Missing audio stays missing."""
    shift, snr, is_noisy = rng.random(), rng.random(), rng.random() < augmentation.noise
    noise_seed, holes = rng.getrandbits(64), Random(rng.getrandbits(64))
    samples, present = window.audio_f32, window.audio_present
    if not present:
        return samples, present
    samples, present = _shifted(samples, present, round(augmentation.shift_ms * (2 * shift - 1) * rate_hz / 1_000))
    if is_noisy:
        snr_db = augmentation.snr_low_db + snr * (augmentation.snr_high_db - augmentation.snr_low_db)
        samples = _add_noise(samples, present, snr_db, noise_seed)
    if augmentation.bands or augmentation.spans:
        samples = _mask_spectrum(samples, present, augmentation, holes)
    return samples, present


def _shifted(samples: Samples, present: Ranges, by: int) -> tuple[Samples, Ranges]:
    """Return the audio delayed by this many samples; unchanged if nothing of it would be left."""
    moved = [(max(0, first + by), min(len(samples), last + by)) for first, last in present]
    left = tuple((first, last) for first, last in moved if first < last)
    if not by or not left:
        return samples, present
    later = np.zeros_like(samples)
    for first, last in left:
        later[first:last] = samples[first - by : last - by]
    return later, left


def _add_noise(samples: Samples, present: Ranges, snr_db: float, seed: int) -> Samples:
    noise = np.random.default_rng(seed).standard_normal(len(samples), dtype=np.float32) * _mask(samples, present)
    if not samples.any() or not noise.any():
        return samples
    mixed: Tensor = add_noise(_row(samples), _row(noise), torch.tensor([snr_db]))
    return _in_range(mixed[0].numpy())


def _mask_spectrum(samples: Samples, present: Ranges, augmentation: Augmentation, rng: Random) -> Samples:
    """Return the audio without some frequency bands and time spans."""
    shape = torch.hann_window(_FFT)
    spectrum = torch.stft(_row(samples), _FFT, _HOP, window=shape, return_complex=True)  # [1, 257, F]
    for _ in range(augmentation.bands):
        first, last = _mask_range(spectrum.shape[1], augmentation.band_share, rng)
        spectrum[:, first:last] = 0
    for _ in range(augmentation.spans):
        first, last = _mask_range(spectrum.shape[2], augmentation.span_share, rng)
        spectrum[:, :, first:last] = 0
    sound: Samples = torch.istft(spectrum, _FFT, _HOP, window=shape, length=len(samples))[0].numpy()
    return _in_range(sound * _mask(samples, present))


def _mask_range(size: int, share: float, rng: Random) -> tuple[int, int]:
    width = round(size * share * rng.random())
    first = rng.randint(0, size - width)
    return first, first + width


def _in_range(samples: Samples) -> Samples:
    return np.minimum(np.maximum(samples, np.float32(-1)), np.float32(1))


def _mask(samples: Samples, present: Ranges) -> Samples:
    mask = np.zeros_like(samples)
    for first, last in present:
        mask[first:last] = 1
    return mask


def _row(samples: Samples) -> Tensor:
    return torch.from_numpy(np.array(samples[np.newaxis]))
