"""The single-shot detector (SSD) on MobileNetV2 that was trained on Open Images, in torch.

Liu et al., 2016, arXiv 1512.02325. Architecture, anchors and box coding are those of TensorFlow's object detection API;
MediaPipe runs the same network (`object_detection_oid_v4_cpu.pbtxt`). It stretches every picture to 300 x 300 pixels.
"""

from __future__ import annotations

from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn

from triptych.models.pretrained.inverted_residual import InvertedResidual, relu6, same_conv
from triptych.models.pretrained.mobilenet_v2 import STEM_CHANNELS, mobilenet_v2_blocks

INPUT_PIXELS = 300
LABELS = (
    "bicycle",
    "boot",
    "laptop",
    "person",
    "chair",
    "cattle",
    "desk",
    "cat",
    "computer mouse",
    "computer monitor",
    "box",
    "mug",
    "coffee cup",
    "stationary bicycle",
    "table",
    "bottle",
    "high heels",
    "vehicle",
    "footwear",
    "dog",
    "book",
    "camera",
    "car",
)
"""The labels in the order of the network's outputs, after the background."""
_OUTPUTS = 1 + len(LABELS)
_BOX_NUMBERS = 4
_MIDDLE_BLOCK = 13
"""The block whose expanded input, at 1/16 of the size, is the first of the six feature maps."""
_MIDDLE_CHANNELS = 576
_TRUNK_CHANNELS = 320
_HEAD_CHANNELS = 1280
# (channels between, channels) of the maps after the head, each half the size of the one before.
_EXTRAS = ((256, 512), (128, 256), (128, 256), (64, 128))
_MAP_SIDES = (19, 10, 5, 3, 2, 1)
_SMALLEST_SCALE, _LARGEST_SCALE = 0.2, 0.95
_ASPECT_RATIOS = (1.0, 2.0, 0.5, 3.0, 0.3333)
_FIRST_MAP_ANCHORS = ((0.1, 1.0), (0.2, 2.0), (0.2, 0.5))
_CENTRE_SCALE, _SIZE_SCALE = 10.0, 5.0
"""The networks's numbers are this many times the offset of a centre and the logarithm of a size."""


class _ExtraLayer(nn.Module):
    """Halve the size of a feature map: a 1 x 1 convolution and one of 3 x 3 with stride 2."""

    def __init__(self, inputs: int, between: int, outputs: int) -> None:
        super().__init__()
        self.reduce = same_conv(inputs, between, 1)
        self.grow = same_conv(between, outputs, 3, stride=2)

    def forward(self, images: Tensor) -> Tensor:
        """Return float [N, C_out, ceil(H / 2), ceil(W / 2)] of float [N, C_in, H, W]."""
        return relu6(self.grow(relu6(self.reduce(images))))


class _MapPredictor(nn.Module):
    """Predict a box and the logits of the labels for each anchor of a feature map."""

    def __init__(self, channels: int, anchors: int) -> None:
        super().__init__()
        self.boxes = same_conv(channels, anchors * _BOX_NUMBERS, 1)
        self.labels = same_conv(channels, anchors * _OUTPUTS, 1)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Return float [N, H · W · anchors, 4] and [N, H · W · anchors, 24] of float [N, C, H, W]."""
        rows = features.shape[0]
        boxes = self.boxes(features).permute(0, 2, 3, 1).reshape(rows, -1, _BOX_NUMBERS)
        labels = self.labels(features).permute(0, 2, 3, 1).reshape(rows, -1, _OUTPUTS)
        return boxes, labels


class OpenImagesSsd(nn.Module):
    """Predict boxes and labels for each of 1,917 anchors."""

    anchors: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.stem = same_conv(3, STEM_CHANNELS, 3, stride=2)
        self.blocks = mobilenet_v2_blocks(same_conv, relu6)
        self.head = same_conv(_TRUNK_CHANNELS, _HEAD_CHANNELS, 1)
        channels = (_HEAD_CHANNELS, *(outputs for _, outputs in _EXTRAS))
        self.extras = nn.ModuleList(
            _ExtraLayer(inputs, between, outputs)
            for inputs, (between, outputs) in zip(channels[:-1], _EXTRAS, strict=True)
        )
        self.predictors = nn.ModuleList(
            _MapPredictor(inputs, len(anchors))
            for inputs, anchors in zip((_MIDDLE_CHANNELS, *channels), _anchor_shapes(), strict=True)
        )
        self.register_buffer("anchors", ssd_anchors(), persistent=False)

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Return what the network predicts for each anchor.

        Args:
            pictures: RGB float32 [N, 3, 300, 300], from -1 to 1.

        Returns:
            encoded boxes, float32 [N, 1917, 4], for `decode_boxes`, and logits, float32 [N, 1917, 24]: the background
            and `LABELS`.
        """
        predicted = [
            predict(features) for predict, features in zip(self.predictors, self._feature_maps(pictures), strict=True)
        ]
        return torch.cat([boxes for boxes, _ in predicted], 1), torch.cat([labels for _, labels in predicted], 1)

    def _feature_maps(self, pictures: Tensor) -> list[Tensor]:
        """Return the six maps, float [N, C, side, side], from the finest to that of one position."""
        x = relu6(self.stem(pictures))
        for block in self.blocks[:_MIDDLE_BLOCK]:
            x = block(x)
        middle_block = cast("InvertedResidual", self.blocks[_MIDDLE_BLOCK])
        middle = middle_block.widen(x)
        x = middle_block.narrow(middle, x)
        for block in self.blocks[_MIDDLE_BLOCK + 1 :]:
            x = block(x)
        maps = [middle, relu6(self.head(x))]
        for extra in self.extras:
            maps.append(extra(maps[-1]))
        return maps


def ssd_anchors() -> Tensor:
    """Return the anchors, float32 [1917, 4]: centre y and x, height and width, as fractions of the picture's sides."""
    return torch.tensor(
        [
            ((row + 0.5) / side, (column + 0.5) / side, scale / ratio**0.5, scale * ratio**0.5)
            for side, shapes in zip(_MAP_SIDES, _anchor_shapes(), strict=True)
            for row in range(side)
            for column in range(side)
            for scale, ratio in shapes
        ]
    )


def _anchor_shapes() -> list[tuple[tuple[float, float], ...]]:
    """Return the scale and aspect ratio (width to height) of the anchors at each position of each map."""
    last = len(_MAP_SIDES) - 1
    scales = [_SMALLEST_SCALE + (_LARGEST_SCALE - _SMALLEST_SCALE) * step / last for step in range(last + 1)]
    shapes = [
        (*((scale, ratio) for ratio in _ASPECT_RATIOS), ((scale * next_scale) ** 0.5, 1.0))
        for scale, next_scale in pairwise((*scales, 1.0))
    ]
    return [_FIRST_MAP_ANCHORS, *shapes[1:]]


def decode_boxes(encoded: Tensor, anchors: Tensor) -> Tensor:
    """Return boxes float [..., 4] (left, top, right, bottom) as fractions of the picture's sides.

    They may reach beyond the picture.

    Args:
        encoded: offsets from the anchors, float [..., 4]: of the centre's y and x, of the logarithms of height and
            width.
        anchors: as `ssd_anchors` returns them, float [..., 4].
    """
    centre = encoded[..., :2] / _CENTRE_SCALE * anchors[..., 2:] + anchors[..., :2]  # y, x
    half = (encoded[..., 2:] / _SIZE_SCALE).exp() * anchors[..., 2:] / 2  # y, x
    return torch.cat([centre - half, centre + half], -1)[..., [1, 0, 3, 2]]
