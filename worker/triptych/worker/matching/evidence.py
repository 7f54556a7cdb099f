"""Evidence: the similarity of each source as log-odds, by the stream's own past. Pure.

A source is compared with its own similarities in the recent windows of the stream: `z` is the distance from their
median in robust standard deviations. In a window that fits, a source shows it with the probability `share`, and is then
`shift` standard deviations above the usual; otherwise it is as usual. With normal distributions the log-likelihood ratio
of a source is

    log(share * exp(shift * z - shift^2 / 2) + 1 - share)

and the ratios of sources that err independently add up. A source that shows nothing speaks against a match by no more
than log(1 - share), and a source that is missing adds nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from triptych.schemas.perception.matches import MatchEvidence, MatchSimilarity

SOURCES: Final = ("video", "audio", "subtitles", "detections")
PRIOR_LOG_ODDS: Final = math.log(0.02 / 0.98)
"""Before anything is seen, one window in fifty fits a prompt."""
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


RELIABILITY: Final[Mapping[str, SourceReliability]] = {
    "video": SourceReliability(share=0.7, shift=2.0),
    "audio": SourceReliability(share=0.4, shift=2.0),
    "subtitles": SourceReliability(share=0.4, shift=2.0),
    "detections": SourceReliability(share=0.7, shift=2.0),
}
_DETECTIONS: Final = UsualSimilarity(location=0.0, deviation=0.15)
USUAL_OF_SPACE: Final[Mapping[str, Mapping[str, UsualSimilarity]]] = {}
"""The usual similarities in the spaces that were measured (docs/prompts.md), by source."""


def evidence_of(similarity: MatchSimilarity, past: Sequence[MatchSimilarity], space: str | None) -> MatchEvidence:
    """Return what each source says for a match.

    Args:
        similarity: the similarities of the window.
        past: those of recent windows of the stream with the same prompt.
        space: the space of the vectors.
    """
    usual = USUAL_OF_SPACE.get(space or "", {})
    evidence = {source: _source_evidence(source, similarity, past, usual.get(source)) for source in SOURCES[:3]}
    if any(each.detections for each in (similarity, *past)):
        evidence["detections"] = _source_evidence("detections", similarity, past, _DETECTIONS)
    return MatchEvidence(**evidence)


def log_odds_of(evidence: MatchEvidence, weights: Mapping[str, float], prior: float) -> float:
    """Return the sum of the prior and of the evidence that there is. A source without a weight counts once."""
    said = {source: getattr(evidence, source) for source in SOURCES}
    total = prior + sum(weights.get(source, 1.0) * value for source, value in said.items() if value is not None)
    return round(total, _DIGITS)


def probability(log_odds: float) -> float:
    """Return the probability with these log-odds."""
    return round(1.0 / (1.0 + math.exp(-max(min(log_odds, 60.0), -60.0))), _DIGITS)


def _source_evidence(
    source: str, similarity: MatchSimilarity, past: Sequence[MatchSimilarity], usual: UsualSimilarity | None
) -> float | None:
    value = getattr(similarity, source)
    if value is None:
        return None
    known = _known_from([found for each in past if (found := getattr(each, source)) is not None], usual)
    if known is None:
        return None
    deviations = (value - known.location) / known.deviation
    deviations = max(-_MOST_DEVIATIONS, min(deviations, _MOST_DEVIATIONS))
    trusted = RELIABILITY[source]
    shown = math.log(trusted.share) + trusted.shift * deviations - trusted.shift**2 / 2
    return round(float(np.logaddexp(shown, math.log(1.0 - trusted.share))), _DIGITS)


def _known_from(past: Sequence[float], usual: UsualSimilarity | None) -> UsualSimilarity | None:
    """Return what is usual in this stream: its past, and the usual values of the space while the past is short."""
    if usual is None and len(past) < _FEWEST_WINDOWS:
        return None
    values = np.asarray(past, np.float64)
    location = float(np.median(values)) if len(past) else 0.0
    deviation = _MAD_TO_DEVIATION * float(np.median(np.abs(values - location))) if len(past) else 0.0
    if usual is None:
        return UsualSimilarity(location, max(deviation, _SMALLEST_DEVIATION))
    own = len(past) / (len(past) + _PRIOR_WINDOWS)
    blended = math.sqrt(own * deviation**2 + (1.0 - own) * usual.deviation**2)
    return UsualSimilarity(
        own * location + (1.0 - own) * usual.location, max(blended, usual.deviation / 2, _SMALLEST_DEVIATION)
    )
