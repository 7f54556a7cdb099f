"""The inverted residual block (MBConv) of MobileNetV2 and EfficientNet, without batch norms: they are folded in.

Sandler et al., 2018, arXiv 1801.04381.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn import functional

Activation = Callable[[Tensor], Tensor]


class _SameConv(nn.Conv2d):
    """A convolution with TensorFlow's SAME padding, which pads asymmetrically at stride 2."""

    def forward(self, images: Tensor) -> Tensor:
        """Pad float [N, C, H, W] for an output of ceil(size / stride), then convolve."""
        top, bottom = _same_padding(images.shape[-2], self.kernel_size[0], self.stride[0])
        left, right = _same_padding(images.shape[-1], self.kernel_size[1], self.stride[1])
        return super().forward(functional.pad(images, (left, right, top, bottom)))


def _same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


def same_conv(inputs: int, outputs: int, kernel: int, *, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    """Return a convolution that pads as TensorFlow does."""
    if stride == 1:
        return nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, groups=groups)
    return _SameConv(inputs, outputs, kernel, stride=stride, groups=groups)


def symmetric_conv(inputs: int, outputs: int, kernel: int, *, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    """Return a convolution that pads each side by half its kernel, as networks of PyTorch do."""
    return nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2, groups=groups)


def relu(images: Tensor) -> Tensor:
    """Replace negative values by 0, in place."""
    return functional.relu(images, inplace=True)


def relu6(images: Tensor) -> Tensor:
    """Limit values to 0 to 6, in place."""
    return functional.relu6(images, inplace=True)


class InvertedResidual(nn.Module):
    """Expand, depthwise convolution, project, and a skip connection if possible.

    Args:
        inputs: channels of the input.
        outputs: channels of the output.
        kernel: size of the depthwise convolution.
        stride: stride of the depthwise convolution.
        expansion: by how much the block widens its input; 1 for a block that does not.
        conv: how the convolutions pad: `same_conv` or `symmetric_conv`.
        activation: the activation function.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        kernel: int = 3,
        stride: int,
        expansion: int,
        conv: Callable[..., nn.Conv2d] = same_conv,
        activation: Activation = relu6,
    ) -> None:
        super().__init__()
        wide = inputs * expansion
        self.expand = conv(inputs, wide, 1) if expansion != 1 else None
        self.depthwise = conv(wide, wide, kernel, stride=stride, groups=wide)
        self.project = conv(wide, outputs, 1)
        self.is_residual = stride == 1 and inputs == outputs
        self._activation = activation

    def forward(self, images: Tensor) -> Tensor:
        """Return float [N, C_out, H', W'] of images float [N, C_in, H, W]."""
        return self.narrow(self.widen(images), images)

    def widen(self, images: Tensor) -> Tensor:
        """Return the expanded input, float [N, C_in · expansion, H, W]."""
        return images if self.expand is None else self._activation(self.expand(images))

    def narrow(self, expanded: Tensor, images: Tensor) -> Tensor:
        """Return the output, float [N, C_out, H', W'], of the block's expanded input and its input."""
        projected: Tensor = self.project(self._activation(self.depthwise(expanded)))
        return projected + images if self.is_residual else projected
