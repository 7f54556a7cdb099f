"""A small picture encoder, to be trained from scratch: for handwriting, glyphs and other simple pictures."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from triptych.models.network.collate import WindowBatch
from triptych.models.network.parts import Encoded, Encoder

_CHANNELS = (24, 48, 96, 128)
_GROUPS = 8
_PIXEL_MEAN = 127.5
_PIXEL_SCALE = 64.0


class SmallVideoEncoder(Encoder):
    """Encode each picture of a window as one token.

    Norms are over groups of channels, not over the batch: what a picture gives depends on it alone.

    Args:
        dim: numbers of a token.
    """

    def __init__(self, dim: int = 128) -> None:
        super().__init__()
        self.dim = dim
        self.trunk = nn.Sequential()
        inputs = 3
        for outputs in _CHANNELS:
            self.trunk.append(nn.Conv2d(inputs, outputs, 3, stride=2, padding=1, bias=False))
            self.trunk.append(nn.GroupNorm(_GROUPS, outputs))
            self.trunk.append(nn.GELU())
            inputs = outputs
        self.out = nn.Linear(2 * inputs, dim)

    def forward(self, batch: WindowBatch) -> Encoded:
        """Return [B, T, D]. Only the pictures that are there are run."""
        rows, frames = batch.video_mask.shape
        if batch.is_dense:
            return Encoded(
                self._features(batch.video.flatten(0, 1)).view(rows, frames, -1), batch.video_mask, batch.video_t
            )
        there = [row * frames + frame for row, count in enumerate(batch.frame_counts) for frame in range(count)]
        pictures = batch.video.flatten(0, 1)[there]  # [B, T, H, W, 3] to [N, H, W, 3]
        features = self._features(pictures)
        tokens = features.new_zeros(rows * frames, self.dim)
        tokens[there] = features
        return Encoded(tokens.view(rows, frames, self.dim), batch.video_mask, batch.video_t)

    def _features(self, pictures: Tensor) -> Tensor:
        x = self.trunk((pictures.permute(0, 3, 1, 2).float() - _PIXEL_MEAN) / _PIXEL_SCALE)
        features: Tensor = self.out(torch.cat([x.mean((2, 3)), x.amax((2, 3))], -1))  # [N, C, h, w] to [N, D]
        return features
