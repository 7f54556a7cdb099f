"""A small audio encoder that is trained from scratch: a log-mel spectrogram and convolutions."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchaudio.transforms import MelSpectrogram  # type: ignore[import-untyped]

from triptych.models.network.collate import AUDIO_TOKEN_SAMPLES, WindowBatch
from triptych.models.network.parts import Encoded, Encoder

SAMPLE_RATE_HZ = 16_000
TOKEN_SAMPLES = 5 * AUDIO_TOKEN_SAMPLES
"""Samples per token: 160 ms, about one syllable."""
_HOP_SAMPLES = 160
_FFT_SAMPLES = 512
_BANDS = 64
_MIN_POWER = 1e-5
_LOG_MEAN = -5.0
_LOG_SCALE = 4.0
"""Typical range of the log-mel power of speech and music, used to scale the input to about 1."""
_CHANNELS = (24, 48, 96, 128)
_GROUPS = 8


class SmallAudioEncoder(Encoder):
    """Encode audio as one token per 160 ms, each at its position in the window. Tokens in gaps are masked.

    Args:
        dim: dimensions of a token.
    """

    def __init__(self, dim: int = 128) -> None:
        super().__init__()
        self.dim = dim
        self.mel = MelSpectrogram(SAMPLE_RATE_HZ, n_fft=_FFT_SAMPLES, hop_length=_HOP_SAMPLES, n_mels=_BANDS, power=2.0)
        self.trunk = nn.Sequential()
        inputs = 1
        for outputs in _CHANNELS:
            self.trunk.append(nn.Conv2d(inputs, outputs, 3, stride=2, padding=1, bias=False))
            self.trunk.append(nn.GroupNorm(_GROUPS, outputs))
            self.trunk.append(nn.GELU())
            inputs = outputs
        self.out = nn.Linear(inputs * (_BANDS >> len(_CHANNELS)), dim)

    def forward(self, batch: WindowBatch) -> Encoded:
        """Return tokens float [B, ceil(S / 2560), dim] of the audio float32 [B, S]. Only rows with audio are run."""
        mask = _token_mask(batch.audio_mask)
        rows, steps = mask.shape
        audio = functional.pad(batch.audio, (0, -batch.audio.shape[1] % TOKEN_SAMPLES))
        if batch.is_dense:
            tokens = self._features(audio)
        else:
            present = list(batch.rows_with("audio"))
            features = self._features(audio[present])
            tokens = features.new_zeros(rows, steps, self.dim)
            tokens[present] = features
        times = (torch.arange(steps, device=mask.device) * (TOKEN_SAMPLES / batch.audio.shape[1])).expand(rows, steps)
        return Encoded(tokens, mask, times)

    def spectrum(self, audio: Tensor) -> Tensor:
        """Return the scaled log-mel spectrogram, float32 [N, 64, S / 160], of audio float32 [N, S]."""
        with torch.autocast(audio.device.type, enabled=False):
            power: Tensor = self.mel(audio)[..., :-1]  # the last of S / 160 + 1 frames lies beyond the end
            return ((power + _MIN_POWER).log() - _LOG_MEAN) / _LOG_SCALE

    def _features(self, audio: Tensor) -> Tensor:
        """Return tokens float [N, F, dim] of audio float32 [N, S]."""
        x = self.trunk(self.spectrum(audio).unsqueeze(1))  # [N, 1, 64, 16·F] to [N, C, 4, F]
        features: Tensor = self.out(x.flatten(1, 2).transpose(1, 2))  # to [N, F, D]
        return features


def _token_mask(mask: Tensor) -> Tensor:
    """Return the mask of the tokens, bool [B, F], from the finer mask of the batch, bool [B, Ta]."""
    parts = TOKEN_SAMPLES // AUDIO_TOKEN_SAMPLES
    return functional.pad(mask, (0, -mask.shape[1] % parts)).view(mask.shape[0], -1, parts).any(-1)
