"""How well a window fits what was asked for in words."""

from __future__ import annotations

from triptych.schemas.values import Nanoseconds, Value


class MatchEvidence(Value):
    """What each source adds to the log-odds of a match; null where the source is missing from the window."""

    video: float | None = None
    audio: float | None = None
    subtitles: float | None = None
    detections: float | None = None


class Match(Value):
    """How well the window fits a prompt.

    `score` is the probability that it fits, from the calibrated `log_odds`. `quantile` is the share of the stream's
    recent windows that fit less well; null while there are too few. `evidence` sums to the log-odds, without the
    prior. `at_ns` is the time of the picture that fits best.
    """

    score: float
    log_odds: float
    quantile: float | None = None
    evidence: MatchEvidence = MatchEvidence()
    at_ns: Nanoseconds | None = None
