"""Integrated loudness of audio according to ITU-R BS.1770-4: K-weighting, blocks of 400 ms, two gates.

This module does not use `torchaudio.functional.loudness`, which clips samples that the K-weighting lifts above full
scale (an error of up to 2.4 LU for loud audio) and derives its filters from rounded constants.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor
from torchaudio.functional import lfilter  # type: ignore[import-untyped]

_BLOCK_MS = 400
_STEP_MS = 100
_MS_PER_S = 1_000
_OFFSET_LU = -0.691
_ABSOLUTE_GATE_LUFS = -70.0
_RELATIVE_GATE_LU = -10.0


def integrated_loudness(audio: Tensor, sample_rate_hz: int) -> float | None:
    """Return the loudness of mono audio float [S] in LUFS.

    Return None if the audio is shorter than a block or below the absolute gate.
    """
    block = sample_rate_hz * _BLOCK_MS // _MS_PER_S
    if audio.shape[0] < block:
        return None
    weighted = _k_weighted(audio.double(), sample_rate_hz)
    powers = weighted.square().unfold(0, block, sample_rate_hz * _STEP_MS // _MS_PER_S).mean(1)  # [blocks]
    levels = _OFFSET_LU + 10 * powers.log10()
    audible = levels > _ABSOLUTE_GATE_LUFS
    if not audible.any():
        return None
    relative_gate = _lufs(powers[audible]) + _RELATIVE_GATE_LU
    return _lufs(powers[audible & (levels > relative_gate)])


def _lufs(powers: Tensor) -> float:
    """Return the loudness in LUFS of block powers, float64 [blocks]."""
    return _OFFSET_LU + 10 * math.log10(powers.mean().item())


def _k_weighted(audio: Tensor, sample_rate_hz: int) -> Tensor:
    """Apply the K-weighting filters to audio, float64 [S]."""
    for numerator, denominator in _filters(sample_rate_hz):
        audio = lfilter(audio, denominator, numerator, clamp=False)
    return audio


@lru_cache(maxsize=4)
def _filters(sample_rate_hz: int) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Return the high shelf and the high pass for a sample rate, each as (numerator, denominator), float64 [3].

    The recommendation only has coefficients for 48 kHz. The constants below are the parameters of the analogue filters
    from which those coefficients follow by the bilinear transform. FFmpeg's `ebur128` filter uses the same constants.
    """
    k = math.tan(math.pi * 1681.974450955533 / sample_rate_hz)
    q = 0.7071752369554196
    high = 10 ** (3.999843853973347 / 20)
    band = high**0.4996667741545416
    a0 = 1 + k / q + k * k
    shelf = (
        _row((high + band * k / q + k * k) / a0, 2 * (k * k - high) / a0, (high - band * k / q + k * k) / a0),
        _row(1.0, 2 * (k * k - 1) / a0, (1 - k / q + k * k) / a0),
    )
    k = math.tan(math.pi * 38.13547087602444 / sample_rate_hz)
    q = 0.5003270373238773
    a0 = 1 + k / q + k * k
    high_pass = (_row(1.0, -2.0, 1.0), _row(1.0, 2 * (k * k - 1) / a0, (1 - k / q + k * k) / a0))
    return shelf, high_pass


def _row(*coefficients: float) -> Tensor:
    return torch.tensor(coefficients, dtype=torch.float64)
