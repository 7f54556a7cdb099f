"""What noise costs, as MultiBench counts it: the area under the curve, and the gap to late fusion. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class NoiseCurve:
    """Accuracies by level of noise in one modality.

    Attributes:
        modality: the one that the noise is in.
        levels: of noise, rising.
        fused: accuracies of the model.
        late: of the same model's answers to each modality alone, put together.
        relative: area under the curve of the model, over the levels' span.
        effective: mean height of the model's curve above that of late fusion, moved so that both begin together.
    """

    modality: str
    levels: tuple[float, ...]
    fused: tuple[float, ...]
    late: tuple[float, ...]
    relative: float
    effective: float


def robustness(modality: str, levels: Sequence[float], fused: Sequence[float], late: Sequence[float]) -> NoiseCurve:
    """Return the curve and what is read off it."""
    gaps = [(own - fused[0]) - (other - late[0]) for own, other in zip(fused, late, strict=True)]
    return NoiseCurve(modality, tuple(levels), tuple(fused), tuple(late), _mean(levels, fused), _mean(levels, gaps))


def _mean(levels: Sequence[float], heights: Sequence[float]) -> float:
    """Return the mean height by the trapezoids between levels."""
    area = sum(
        (levels[place + 1] - levels[place]) * (heights[place] + heights[place + 1]) / 2
        for place in range(len(levels) - 1)
    )
    span = levels[-1] - levels[0]
    return area / span if span else heights[0]
