"""EfficientNet-Lite0 in torch: what pictures show.

The architecture is the published one (Tan and Le, 2019; the Lite variants of 2020: no squeeze-and-excitation, ReLU6,
stem and head of fixed width). The weights are the ones of `weights.EFFICIENTNET_LITE0`.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from triptych.models.network.collate import WindowBatch
from triptych.models.network.parts import Encoded, Encoder, Features, Head

FEATURES = 1280
LABELS = 1000
INPUT_PIXELS = 224
_AT_ONCE_ON_CPU = 2
"""For speed and memory: four at once took a quarter longer and 30 MB more, 32 twice as long (page faults)."""
_STEM_CHANNELS = 32
_BATCH_NORM_EPSILON = 1e-3
_PIXEL_MEAN = 127.0
_PIXEL_SCALE = 128.0
# (repeats, kernel, stride, expansion, channels) of each stage.
_STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
# The original's layers of a block: the batch norm after each, and what the layer is called here.
_BLOCK_LAYERS = {
    "_expand_conv": ("_bn0", "expand"),
    "_depthwise_conv": ("_bn1", "depthwise"),
    "_project_conv": ("_bn2", "project"),
}


class _SameConv(nn.Conv2d):
    """Convolve with TensorFlow's SAME padding, which at stride 2 pads one side more than the other."""

    def forward(self, pictures: Tensor) -> Tensor:
        """Pad as the output of ceil(size / stride) needs, then convolve."""
        top, bottom = _same_padding(pictures.shape[-2], self.kernel_size[0], self.stride[0])
        left, right = _same_padding(pictures.shape[-1], self.kernel_size[1], self.stride[1])
        return super().forward(functional.pad(pictures, (left, right, top, bottom)))


def _same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


def _conv(inputs: int, outputs: int, kernel: int, *, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    if stride == 1:
        return nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, groups=groups)
    return _SameConv(inputs, outputs, kernel, stride=stride, groups=groups)


class _Block(nn.Module):
    """Inverted residual: expand, filter each channel, project; added to its input where the shapes allow."""

    def __init__(self, inputs: int, outputs: int, *, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = inputs * expansion
        self.expand = _conv(inputs, wide, 1) if expansion != 1 else None
        self.depthwise = _conv(wide, wide, kernel, stride=stride, groups=wide)
        self.project = _conv(wide, outputs, 1)
        self.is_residual = stride == 1 and inputs == outputs

    def forward(self, pictures: Tensor) -> Tensor:
        x = pictures if self.expand is None else functional.relu6(self.expand(pictures), inplace=True)
        y: Tensor = self.project(functional.relu6(self.depthwise(x), inplace=True))
        return y + pictures if self.is_residual else y


class _EfficientNetTrunk(nn.Module):
    """Turn pictures, uint8 [N, H, W, 3], into features [N, 1280]."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = _conv(3, _STEM_CHANNELS, 3, stride=2)
        self.blocks = nn.Sequential()
        inputs = _STEM_CHANNELS
        for repeats, kernel, stride, expansion, outputs in _STAGES:
            for repeat in range(repeats):
                step = stride if repeat == 0 else 1
                self.blocks.append(_Block(inputs, outputs, kernel=kernel, stride=step, expansion=expansion))
                inputs = outputs
        self.head = _conv(inputs, FEATURES, 1)

    def forward(self, pictures: Tensor) -> Tensor:
        # [N, H, W, 3] seen as [N, 3, H, W] is already the memory layout that convolutions run fastest on.
        x = (pictures.permute(0, 3, 1, 2).float() - _PIXEL_MEAN) / _PIXEL_SCALE
        x = self.blocks(functional.relu6(self.stem(x), inplace=True))
        features: Tensor = functional.relu6(self.head(x), inplace=True).mean((2, 3))  # [N, 1280, h, w] to [N, 1280]
        return features


class ImageEncoder(Encoder):
    """Encode each picture of a window as one token.

    A GPU runs the whole batch, masked, in one: it wants fixed shapes. A CPU wants less to do, and no more at once than
    its caches and malloc like: it runs the pictures that are there, a few at a time.

    Args:
        weights: the state of the original network.
    """

    dim = FEATURES

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.trunk = _EfficientNetTrunk()
        self.trunk.load_state_dict(_trunk_state(weights))
        self.trunk.to(memory_format=torch.channels_last)

    def forward(self, batch: WindowBatch) -> Encoded:
        """Return [B, T, 1280]."""
        rows, frames = batch.video_mask.shape
        pictures = batch.video.flatten(0, 1)  # [B, T, H, W, 3] to [B·T, H, W, 3]
        if pictures.device.type != "cpu" or batch.is_dense:
            return Encoded(self.trunk(pictures).view(rows, frames, FEATURES), batch.video_mask)
        there = [row * frames + frame for row, count in enumerate(batch.frame_counts) for frame in range(count)]
        tokens = torch.zeros(rows * frames, FEATURES, device=pictures.device)
        for first in range(0, len(there), _AT_ONCE_ON_CPU):
            some = there[first : first + _AT_ONCE_ON_CPU]
            tokens[some] = self.trunk(pictures[some])
        return Encoded(tokens.view(rows, frames, FEATURES), batch.video_mask)


class LabelHead(Head):
    """Score the ImageNet labels of a window: the mean over its pictures of what each shows."""

    source = "video"

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.fc = nn.Linear(FEATURES, LABELS)
        self.fc.load_state_dict({"weight": weights["_fc.weight"], "bias": weights["_fc.bias"]})

    def forward(self, features: Features) -> Tensor:
        """Return [B, 1000]; zeros for a window without pictures."""
        encoded = features.encoded[self.source]
        present = encoded.mask.unsqueeze(-1)  # [B, T, 1]
        scores: Tensor = self.fc(encoded.tokens).float().softmax(-1) * present  # [B, T, 1000]
        return scores.sum(1) / present.sum(1).clamp(min=1)


def _trunk_state(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the trunk's state: each convolution of the original with the batch norm after it folded in."""
    state = _folded(weights, "_conv_stem", "_bn0", "stem") | _folded(weights, "_conv_head", "_bn1", "head")
    for name in weights:
        parent, _, conv = name.removesuffix(".weight").rpartition(".")
        if conv in _BLOCK_LAYERS:
            norm, ours = _BLOCK_LAYERS[conv]
            state |= _folded(weights, f"{parent}.{conv}", f"{parent}.{norm}", f"{parent.removeprefix('_')}.{ours}")
    return state


def _folded(weights: Mapping[str, Tensor], conv: str, norm: str, name: str) -> dict[str, Tensor]:
    """Let a convolution do what the frozen batch norm after it does: scale and shift each channel."""
    mean, variance = weights[f"{norm}.running_mean"].double(), weights[f"{norm}.running_var"].double()
    scale = weights[f"{norm}.weight"].double() / (variance + _BATCH_NORM_EPSILON).sqrt()
    kernel = weights[f"{conv}.weight"].double() * scale[:, None, None, None]  # [out, in, k, k]
    shift = weights[f"{norm}.bias"].double() - mean * scale
    return {f"{name}.weight": kernel.float(), f"{name}.bias": shift.float()}
