"""How well a window fits what was asked for in words."""

from __future__ import annotations

import operator

from pydantic import Field

from triptych.schemas.values import WRITTEN_WHERE_TRUE, Nanoseconds, Value


class MatchSimilarity(Value):
    """How similar each source is to the prompt: its similarity to the prompt's texts less that to its negatives.

    Null where the source is missing from the window. These are the measurements that later windows of the stream are
    compared with.
    """

    video: float | None = None
    audio: float | None = None
    subtitles: float | None = None
    detections: float | None = None


class MatchEvidence(Value):
    """What each source says for a match, as log-odds; null where it says nothing.

    A source says nothing if it is missing from the window. Detections also say nothing until the stream has shown
    something that the prompt names.
    """

    video: float | None = None
    audio: float | None = None
    subtitles: float | None = None
    detections: float | None = None


class Match(Value):
    """How well the window fits a prompt.

    `score` is the probability that it fits, from the calibrated `log_odds`. `quantile` is the share of the stream's
    recent windows that fit less well; null while there are too few. `log_odds` is the sum of the `evidence` and the
    prior; with a head that was fitted to feedback, the weighted sum and the head's own prior. `at_ns` is the time of
    the picture that fits best. `version` is that of the prompt: windows of another version are not compared.
    """

    version: str = Field(default="", exclude_if=operator.not_, json_schema_extra=WRITTEN_WHERE_TRUE)
    score: float
    log_odds: float
    quantile: float | None = None
    similarity: MatchSimilarity | None = Field(
        default=None, exclude_if=operator.not_, json_schema_extra=WRITTEN_WHERE_TRUE
    )
    evidence: MatchEvidence = MatchEvidence()
    at_ns: Nanoseconds | None = None
