"""The blocks of MobileNetV2, the trunk of both shipped detectors. Sandler et al., 2018, arXiv 1801.04381."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from triptych.models.pretrained.inverted_residual import Activation, InvertedResidual

STEM_CHANNELS = 32
# (repeats, stride, expansion, channels) of each stage.
_STAGES = ((1, 1, 1, 16), (2, 2, 6, 24), (3, 2, 6, 32), (4, 2, 6, 64), (3, 1, 6, 96), (3, 2, 6, 160), (1, 1, 6, 320))


def mobilenet_v2_blocks(conv: Callable[..., nn.Conv2d], activation: Activation) -> nn.ModuleList:
    """Return the 17 blocks between the stem, of `STEM_CHANNELS`, and the last convolution."""
    blocks = nn.ModuleList()
    inputs = STEM_CHANNELS
    for repeats, stride, expansion, outputs in _STAGES:
        for repeat in range(repeats):
            step = stride if repeat == 0 else 1
            blocks.append(
                InvertedResidual(inputs, outputs, stride=step, expansion=expansion, conv=conv, activation=activation)
            )
            inputs = outputs
    return blocks
