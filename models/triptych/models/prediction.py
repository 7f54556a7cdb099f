"""What a model says of one window. Fields that no part of a model fills yet are None or empty."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from triptych.models.window import PreparedCue


@dataclass(frozen=True, slots=True)
class PredictedLabel:
    """Pair a label with its score in [0, 1]."""

    label: str
    score: float


@dataclass(frozen=True, slots=True)
class HeadScore:
    """Pair a label of a trained head with its score and its calibrated confidence.

    For a head that says a number, the label is the head's name, the score the number, and there is no confidence.
    """

    label: str
    score: float
    confidence: float | None


@dataclass(frozen=True, slots=True)
class PredictedTimeSlice:
    """A stretch of a window, and what it contributed to an answer: below zero where it spoke against it."""

    start_ns: int
    end_ns: int
    contribution: float


@dataclass(frozen=True, slots=True)
class WindowPrediction:
    """Hold a model's statements about one window.

    Attributes:
        visual: the best labels of the pictures, best first.
        speech_share: the share of the audio present that is speech; None without audio.
        loudness_lufs: integrated loudness of the audio present; None without audio, and below the gate.
        words: the cues said, in order.
        sound: the best labels of the sound, best first.
        language: language of the words, an ISO 639 code.
        predictions: the scores of each trained head, by the head's name.
        shares: what each modality contributed to the predictions; sums to 1.
        when: what each stretch of the window contributed to them, in order of time.
        embedding: a vector for the whole window, of length 1.
        moments: the same for the window as each of its pictures alone shows it; one where it has none.
    """

    visual: tuple[PredictedLabel, ...] = ()
    speech_share: float | None = None
    loudness_lufs: float | None = None
    words: tuple[PreparedCue, ...] = ()
    sound: tuple[PredictedLabel, ...] = ()
    language: str | None = None
    predictions: Mapping[str, tuple[HeadScore, ...]] | None = None
    shares: Mapping[str, float] | None = None
    when: tuple[PredictedTimeSlice, ...] = ()
    embedding: tuple[float, ...] | None = None
    moments: tuple[tuple[float, ...], ...] = ()
