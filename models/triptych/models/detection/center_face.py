"""The face detector CenterFace, in torch. Xu et al., 2019, arXiv 1911.03599.

It takes pictures of any size whose sides are multiples of 32, and predicts a face or none for each square of 4 x 4
pixels. The landmarks that the original predicts as well are left out.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from triptych.models.pretrained.inverted_residual import relu, symmetric_conv
from triptych.models.pretrained.mobilenet_v2 import STEM_CHANNELS, mobilenet_v2_blocks

SIZE_MULTIPLE = 32
"""The sides of a picture must be multiples of this."""
POSITION_PIXELS = 4
_NECK_CHANNELS = 24
# (index of a block, its channels): the feature maps that are joined, at 1/4, 1/8, 1/16 and 1/32 of the picture's size.
_JOINED_BLOCKS = ((2, 24), (5, 32), (12, 96), (16, 320))


class CenterFace(nn.Module):
    """Predict for each position whether a face is centred there, and its box."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = symmetric_conv(3, STEM_CHANNELS, 3, stride=2)
        self.blocks = mobilenet_v2_blocks(symmetric_conv, relu)
        self.lateral = nn.ModuleList(symmetric_conv(channels, _NECK_CHANNELS, 1) for _, channels in _JOINED_BLOCKS)
        self.enlarge = nn.ModuleList(
            nn.ConvTranspose2d(_NECK_CHANNELS, _NECK_CHANNELS, 2, stride=2) for _ in _JOINED_BLOCKS[1:]
        )
        self.neck = symmetric_conv(_NECK_CHANNELS, _NECK_CHANNELS, 3)
        self.face = symmetric_conv(_NECK_CHANNELS, 1, 1)
        self.size = symmetric_conv(_NECK_CHANNELS, 2, 1)
        self.offset = symmetric_conv(_NECK_CHANNELS, 2, 1)

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Return what the network predicts for each position.

        Args:
            pictures: RGB float32 [N, 3, H, W], from 0 to 255; H and W are multiples of 32.

        Returns:
            logits of a face, float32 [N, H/4, W/4], and geometry, float32 [N, H/4, W/4, 4]: offsets of the centre in y
            and x, logarithms of height and width; all in units of a position.
        """
        x = relu(self.stem(pictures))
        maps: list[Tensor] = []
        joined = [index for index, _ in _JOINED_BLOCKS]
        for index, block in enumerate(self.blocks):
            x = block(x)
            if index in joined:
                maps.append(relu(self.lateral[len(maps)](x)))
        x = maps.pop()
        for enlarge in reversed(self.enlarge):
            x = relu(enlarge(x)) + maps.pop()
        x = relu(self.neck(x))
        return self.face(x).squeeze(1), torch.cat([self.offset(x), self.size(x)], 1).permute(0, 2, 3, 1)


def decode_faces(geometry: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Return boxes float [K, 4] (left, top, right, bottom) in pixels of the picture that the network saw.

    They may reach beyond the picture.

    Args:
        geometry: as the network predicts it for K positions, float [K, 4].
        rows: the row of each position, int [K].
        columns: the column of each position, int [K].
    """
    centre = torch.stack([columns, rows], -1) + geometry[:, [1, 0]] + 0.5  # x, y
    half = geometry[:, [3, 2]].exp() / 2  # width, height
    return torch.cat([centre - half, centre + half], -1) * POSITION_PIXELS
