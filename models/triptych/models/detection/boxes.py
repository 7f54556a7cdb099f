"""Boxes that a network found in a picture: the best of those that overlap, inside the picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import torch
from torch import Tensor

_MIN_SIDE = 1e-3
"""A box that is narrower than this share of the picture, once cut at its edges, is left out."""


@dataclass(frozen=True, slots=True)
class FoundBox:
    """An object in a picture.

    Attributes:
        label: what it is.
        score: from 0 to 1.
        box: left, top, right and bottom edge, as fractions of the picture's sides, from 0 to 1.
    """

    label: str
    score: float
    box: tuple[float, float, float, float]


def best_boxes(
    boxes: Tensor, scores: Tensor, labels: Tensor, *, names: Sequence[str], max_overlap: float
) -> list[FoundBox]:
    """Return the boxes that no better box of their label covers, by falling score.

    Args:
        boxes: left, top, right and bottom as fractions of the picture's sides, float [K, 4]; they may reach beyond it.
        scores: float [K].
        labels: index of the label of each, int [K].
        names: names of the labels.
        max_overlap: of two boxes of a label whose intersection over union is larger, only the better one is kept.
    """
    inside = boxes.clamp(0, 1)
    visible = ((inside[:, 2:] - inside[:, :2]) >= _MIN_SIDE).all(1)
    inside, scores, labels = inside[visible], scores[visible], labels[visible]
    kept = _better(inside, scores, labels, max_overlap)
    found = zip(labels[kept].tolist(), scores[kept].tolist(), inside[kept].tolist(), strict=True)
    return [FoundBox(names[label], score, (box[0], box[1], box[2], box[3])) for label, score, box in found]


def _better(boxes: Tensor, scores: Tensor, labels: Tensor, max_overlap: float) -> list[int]:
    """Return the boxes that are kept. OpenCV's function equals torchvision's, whose import takes two seconds."""
    if not len(boxes):
        return []
    corners_and_sides = torch.cat([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], 1)
    kept = cv2.dnn.NMSBoxesBatched(corners_and_sides.tolist(), scores.tolist(), labels.tolist(), 0.0, max_overlap)
    return [int(place) for place in kept]
