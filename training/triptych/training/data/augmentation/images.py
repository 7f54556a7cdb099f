"""Augmentation of frames by torchvision: crop, flip, rotation, scale and colour."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode, functional  # type: ignore[import-untyped]

from triptych.training.data.augmentation.config import Augmentation

Pixels = NDArray[np.uint8]


def augment_images(frames: Sequence[Pixels], augmentation: Augmentation, rng: Random) -> tuple[Pixels, ...]:
    """Return frames uint8 [H, W, 3] of the same size, all changed alike."""
    draws = [rng.random() for _ in range(9)]  # always as many, so that no setting changes the others' randomness
    if not frames:
        return ()
    pictures = torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2)  # [T, H, W, 3] -> [T, 3, H, W]
    changed = _crop(pictures, augmentation.crop, draws[0], draws[1], draws[2])
    if draws[3] < augmentation.flip:
        changed = functional.horizontal_flip(changed)
    changed = _rotate(
        changed, _symmetric(augmentation.rotate_deg, draws[4]), 1 + _symmetric(augmentation.scale, draws[5])
    )
    changed = _recolour(changed, [1 + _symmetric(augmentation.colour, draw) for draw in draws[6:9]])
    return tuple(changed.permute(0, 2, 3, 1).contiguous().numpy())


def _crop(pictures: Tensor, most: float, share: float, down: float, right: float) -> Tensor:
    if not most:
        return pictures
    height, width = pictures.shape[-2:]
    kept = [max(1, round(size * (1 - most * share))) for size in (height, width)]
    top, left = round((height - kept[0]) * down), round((width - kept[1]) * right)
    cropped: Tensor = functional.resized_crop(pictures, top, left, kept[0], kept[1], [height, width], antialias=True)
    return cropped


def _rotate(pictures: Tensor, angle_deg: float, scale: float) -> Tensor:
    if not angle_deg and scale == 1:
        return pictures
    uncovered = pictures.float().mean(dim=(0, 2, 3)).tolist()
    turned: Tensor = functional.affine(
        pictures, angle_deg, [0, 0], scale, [0, 0], interpolation=InterpolationMode.BILINEAR, fill=uncovered
    )
    return turned


def _recolour(pictures: Tensor, factors: Sequence[float]) -> Tensor:
    changes = (functional.adjust_brightness, functional.adjust_contrast, functional.adjust_saturation)
    for change, factor in zip(changes, factors, strict=True):
        pictures = pictures if factor == 1 else change(pictures, factor)
    return pictures


def _symmetric(most: float, draw: float) -> float:
    return most * (2 * draw - 1)
