"""EfficientNet-Lite0 in torch, to label images and to encode frames.

Architecture: EfficientNet (Tan and Le, 2019, arXiv 1905.11946) in its Lite variant (Google, 2020): without
squeeze-and-excitation, with ReLU6, and with stem and head of fixed width. `weights.EFFICIENTNET_LITE0` names the
weights.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from triptych.models.network.collate import WindowBatch
from triptych.models.network.parts import Accelerate, Encoded, Encoder, Features, Head
from triptych.models.pretrained.inverted_residual import InvertedResidual, relu6, same_conv

FEATURES = 1280
LABELS = 1000
INPUT_PIXELS = 224
_CPU_BATCH_SIZE = 2
"""Frames per batch on a CPU. 4 took 25 % longer per frame and 30 MB more, 32 twice as long (page faults)."""
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
# The names of a block's layers in the original weights: the batch norm after each, and the name in this module.
_BLOCK_LAYERS = {
    "_expand_conv": ("_bn0", "expand"),
    "_depthwise_conv": ("_bn1", "depthwise"),
    "_project_conv": ("_bn2", "project"),
}


class _EfficientNetTrunk(nn.Module):
    """Encode images uint8 [N, H, W, 3] as features float [N, 1280]."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = same_conv(3, _STEM_CHANNELS, 3, stride=2)
        self.blocks = nn.Sequential()
        inputs = _STEM_CHANNELS
        for repeats, kernel, stride, expansion, outputs in _STAGES:
            for repeat in range(repeats):
                step = stride if repeat == 0 else 1
                self.blocks.append(InvertedResidual(inputs, outputs, kernel=kernel, stride=step, expansion=expansion))
                inputs = outputs
        self.head = same_conv(inputs, FEATURES, 1)

    def forward(self, images: Tensor) -> Tensor:
        # The permuted view [N, 3, H, W] is in channels-last format, which is the fastest for convolutions.
        """Return features float [N, 1280] of images uint8 [N, H, W, 3]."""
        x = (images.permute(0, 3, 1, 2).float() - _PIXEL_MEAN) / _PIXEL_SCALE
        x = self.blocks(relu6(self.stem(x)))
        features: Tensor = relu6(self.head(x)).mean((2, 3))  # [N, 1280, h, w] to [N, 1280]
        return features


class ImageEncoder(Encoder):
    """Encode each frame of a window as one token.

    A GPU runs the whole masked batch at once, because it needs fixed shapes. A CPU runs only the frames that exist, a
    few at a time, which is faster because of its caches and of malloc.

    Args:
        weights: the state dict of the original network.
    """

    dim = FEATURES

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        super().__init__()
        trunk = _EfficientNetTrunk()
        trunk.load_state_dict(_trunk_state(weights))
        self.trunk: nn.Module = trunk.to(memory_format=torch.channels_last)

    def use_faster(self, accelerate: Accelerate) -> None:
        """Replace the convolutional network, which takes 95 % of the time of the base model."""
        example = torch.zeros(_CPU_BATCH_SIZE, INPUT_PIXELS, INPUT_PIXELS, 3, dtype=torch.uint8)
        self.trunk = accelerate("efficientnet-lite0", self.trunk, [example])

    def forward(self, batch: WindowBatch) -> Encoded:
        """Return tokens float [B, T, 1280] of frames uint8 [B, T, H, W, 3]."""
        rows, frames = batch.video_mask.shape
        images = batch.video.flatten(0, 1)  # [B, T, H, W, 3] to [B·T, H, W, 3]
        if images.device.type != "cpu" or batch.is_dense:
            return Encoded(self.trunk(images).view(rows, frames, FEATURES), batch.video_mask)
        present_frames = [
            row * frames + frame for row, count in enumerate(batch.frame_counts) for frame in range(count)
        ]
        tokens = torch.zeros(rows * frames, FEATURES, device=images.device)
        for first in range(0, len(present_frames), _CPU_BATCH_SIZE):
            chunk = present_frames[first : first + _CPU_BATCH_SIZE]
            tokens[chunk] = self.trunk(images[chunk])
        return Encoded(tokens.view(rows, frames, FEATURES), batch.video_mask)


class LabelHead(Head):
    """Score the 1,000 ImageNet labels of a window: the mean of the softmax over its frames."""

    source = "video"

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.fc = nn.Linear(FEATURES, LABELS)
        self.fc.load_state_dict({"weight": weights["_fc.weight"], "bias": weights["_fc.bias"]})

    def forward(self, features: Features) -> Tensor:
        """Return scores float32 [B, 1000] that sum to 1; zeros for windows without frames."""
        encoded = features.encoded[self.source]
        present = encoded.mask.unsqueeze(-1)  # [B, T, 1]
        scores: Tensor = self.fc(encoded.tokens).float().softmax(-1) * present  # [B, T, 1000]
        return scores.sum(1) / present.sum(1).clamp(min=1)


def _trunk_state(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the state dict of the trunk: the original's convolutions with their batch norms folded in."""
    state = _folded(weights, "_conv_stem", "_bn0", "stem") | _folded(weights, "_conv_head", "_bn1", "head")
    for name in weights:
        parent, _, conv = name.removesuffix(".weight").rpartition(".")
        if conv in _BLOCK_LAYERS:
            norm, ours = _BLOCK_LAYERS[conv]
            state |= _folded(weights, f"{parent}.{conv}", f"{parent}.{norm}", f"{parent.removeprefix('_')}.{ours}")
    return state


def _folded(weights: Mapping[str, Tensor], conv: str, norm: str, name: str) -> dict[str, Tensor]:
    """Fold a batch norm into the convolution before it: scale and shift of each output channel.

    The convolution's weight is float32 [out, in, k, k]. The computation uses float64.
    """
    mean, variance = weights[f"{norm}.running_mean"].double(), weights[f"{norm}.running_var"].double()
    scale = weights[f"{norm}.weight"].double() / (variance + _BATCH_NORM_EPSILON).sqrt()
    kernel = weights[f"{conv}.weight"].double() * scale[:, None, None, None]  # [out, in, k, k]
    shift = weights[f"{norm}.bias"].double() - mean * scale
    return {f"{name}.weight": kernel.float(), f"{name}.bias": shift.float()}
