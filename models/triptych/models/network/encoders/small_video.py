"""A small video encoder that is trained from scratch, for simple images such as handwriting and glyphs."""

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
    """Encode each frame of a window as one token.

    It uses group norm (Wu and He, 2018, arXiv 1803.08494), not batch norm, so each token depends only on its own frame.

    Args:
        dim: dimensions of a token.
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
        """Return tokens float [B, T, dim] of the frames uint8 [B, T, H, W, 3]. Only frames that exist are run."""
        rows, frames = batch.video_mask.shape
        if batch.is_dense:
            return Encoded(
                self._features(batch.video.flatten(0, 1)).view(rows, frames, -1), batch.video_mask, batch.video_t
            )
        present = [row * frames + frame for row, count in enumerate(batch.frame_counts) for frame in range(count)]
        frames_hwc = batch.video.flatten(0, 1)[present]  # [B, T, H, W, 3] to [N, H, W, 3]
        features = self._features(frames_hwc)
        tokens = features.new_zeros(rows * frames, self.dim)
        tokens[present] = features
        return Encoded(tokens.view(rows, frames, self.dim), batch.video_mask, batch.video_t)

    def _features(self, frames_hwc: Tensor) -> Tensor:
        """Return tokens float [N, dim] of frames uint8 [N, H, W, 3]."""
        x = self.trunk((frames_hwc.permute(0, 3, 1, 2).float() - _PIXEL_MEAN) / _PIXEL_SCALE)
        features: Tensor = self.out(torch.cat([x.mean((2, 3)), x.amax((2, 3))], -1))  # [N, C, h, w] to [N, D]
        return features
