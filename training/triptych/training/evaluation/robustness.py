"""Robustness to noise, relative and effective, as in MultiBench (Liang et al., 2021, arXiv 2107.07502). Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class NoiseCurve:
    """Accuracies by noise level in one modality.

    Attributes:
        modality: the noisy modality.
        levels: rising noise levels.
        fused: accuracies of the model.
        late: accuracies of late fusion of the model's single-modality outputs.
        relative: area under `fused`, divided by the range of levels.
        effective: mean of `fused` minus `late`, both shifted to start at 0.
    """

    modality: str
    levels: tuple[float, ...]
    fused: tuple[float, ...]
    late: tuple[float, ...]
    relative: float
    effective: float


def robustness(modality: str, levels: Sequence[float], fused: Sequence[float], late: Sequence[float]) -> NoiseCurve:
    """Return the curve with its relative and effective robustness."""
    gaps = [(accuracy - fused[0]) - (other - late[0]) for accuracy, other in zip(fused, late, strict=True)]
    return NoiseCurve(modality, tuple(levels), tuple(fused), tuple(late), _mean(levels, fused), _mean(levels, gaps))


def _mean(levels: Sequence[float], heights: Sequence[float]) -> float:
    """Return the mean height of the curve by the trapezoidal rule."""
    area = sum(
        (levels[index + 1] - levels[index]) * (heights[index] + heights[index + 1]) / 2
        for index in range(len(levels) - 1)
    )
    span = levels[-1] - levels[0]
    return area / span if span else heights[0]
