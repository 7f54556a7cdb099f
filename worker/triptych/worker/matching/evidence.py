"""Evidence: the similarity of each source as log-odds, by the stream's own past. Pure.

A source is compared with its own similarities in the recent windows of the stream: `z` is the distance from their
median in robust standard deviations. In a window that fits, a source shows it with the probability `share`, and is
then `shift` standard deviations above the usual; otherwise it is as usual. With normal distributions the
log-likelihood ratio of a source is

    log(share * exp(shift * z - shift^2 / 2) + 1 - share)

and the ratios of sources that err independently add up. A source that shows nothing speaks against a match by no more
than log(1 - share), and a source that is missing adds nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from triptych.schemas.perception.matches import MatchEvidence, MatchSimilarity
from triptych.schemas.perception.prompt_head import SOURCES, Source

_MOST_DEVIATIONS: Final = 5.0
"""Beyond this a source is not believed more: the tails of real similarities are longer than those of a normal one."""
_DIGITS: Final = 4
_MAD_TO_DEVIATION: Final = 1.4826
"""The median absolute deviation of a normal distribution times this is its standard deviation."""
_PRIOR_WINDOWS: Final = 16
"""For how many windows of the past the usual values of a space count."""
_FEWEST_WINDOWS: Final = 8
"""How much past is needed in a space without usual values."""
_SMALLEST_DEVIATION: Final = 0.01


@dataclass(frozen=True, slots=True)
class UsualSimilarity:
    """Similarity of windows that do not fit, in streams without a past: its mean and standard deviation."""

    location: float
    deviation: float


@dataclass(frozen=True, slots=True)
class SourceReliability:
    """How a source shows what is asked for: how often, and how many standard deviations above the usual."""

    share: float
    shift: float


RELIABILITY: Final[Mapping[Source, SourceReliability]] = {
    "video": SourceReliability(share=0.7, shift=2.0),
    "audio": SourceReliability(share=0.4, shift=2.0),
    "subtitles": SourceReliability(share=0.4, shift=2.0),
    "detections": SourceReliability(share=0.7, shift=2.0),
}
_DETECTIONS: Final = UsualSimilarity(location=0.0, deviation=0.15)
USUAL_OF_SPACE: Final[Mapping[str, Mapping[str, UsualSimilarity]]] = {
    "semantic-1": {"subtitles": UsualSimilarity(location=-0.01, deviation=0.08)},
}
"""The usual similarities without negatives, in the spaces and of the sources that were measured (docs/prompts.md)."""


def similarity_row(similarity: MatchSimilarity) -> tuple[float, ...]:
    """Return the similarities in the order of `SOURCES`, NaN where there is none."""
    found = (similarity.video, similarity.audio, similarity.subtitles, similarity.detections)
    return tuple(math.nan if value is None else value for value in found)


def evidence_of(similarity: MatchSimilarity, past: NDArray[np.float64], space: str | None) -> MatchEvidence:
    """Return what each source says for a match.

    Args:
        similarity: the similarities of the window.
        past: those of recent windows of the stream with the same prompt, [N, 4] in the order of `SOURCES`, with NaN.
        space: the space of the vectors, if its usual similarities apply.
    """
    usual = USUAL_OF_SPACE.get(space or "", {})
    columns = {source: past[:, index] for index, source in enumerate(SOURCES)}
    evidence = {
        source: _source_evidence(source, getattr(similarity, source), columns[source], usual.get(source))
        for source in SOURCES[:3]
    }
    if similarity.detections or np.nan_to_num(columns["detections"]).any():
        evidence["detections"] = _source_evidence(
            "detections", similarity.detections, columns["detections"], _DETECTIONS
        )
    return MatchEvidence(**evidence)


def _source_evidence(
    source: Source, value: float | None, past: NDArray[np.float64], usual: UsualSimilarity | None
) -> float | None:
    """Return what a source says, from its similarity and those of the past, [N] with NaN."""
    if value is None:
        return None
    known = _known_from(past[~np.isnan(past)], usual)
    if known is None:
        return None
    deviations = (value - known.location) / known.deviation
    deviations = max(-_MOST_DEVIATIONS, min(deviations, _MOST_DEVIATIONS))
    trusted = RELIABILITY[source]
    shown = math.log(trusted.share) + trusted.shift * deviations - trusted.shift**2 / 2
    return round(float(np.logaddexp(shown, math.log(1.0 - trusted.share))), _DIGITS)


def _known_from(past: NDArray[np.float64], usual: UsualSimilarity | None) -> UsualSimilarity | None:
    """Return what is usual in this stream: its past, [N], and the usual values of the space while that is short."""
    if usual is None and len(past) < _FEWEST_WINDOWS:
        return None
    location = _median(past) if len(past) else 0.0
    deviation = _MAD_TO_DEVIATION * _median(np.abs(past - location)) if len(past) else 0.0
    if usual is None:
        return UsualSimilarity(location, max(deviation, _SMALLEST_DEVIATION))
    own = len(past) / (len(past) + _PRIOR_WINDOWS)
    blended = math.sqrt(own * deviation**2 + (1.0 - own) * usual.deviation**2)
    return UsualSimilarity(
        own * location + (1.0 - own) * usual.location, max(blended, usual.deviation / 2, _SMALLEST_DEVIATION)
    )


def _median(values: NDArray[np.float64]) -> float:
    """Return the median of [N], N > 0. NumPy's own takes ten times as long for so few values."""
    ordered = np.sort(values)
    return float(ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2
