"""The names that a rule may use: the meaning of each, and how to read it from a result. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from triptych.consumers.rules.numbers import LabelNumbers
from triptych.consumers.rules.phrases import Heads, Phrases
from triptych.consumers.rules.prompt_numbers import PromptNumbers
from triptych.schemas.results import LabelScore, Prediction, Result
from triptych.units import NS_PER_S

RuleValue = str | float | int | bool | Phrases | Heads | LabelNumbers | PromptNumbers | None

_MS_PER_S: Final = 1_000


@dataclass(frozen=True, slots=True)
class RuleName:
    """A name in the rule language.

    Attributes:
        meaning: one line for people.
        example: a value of its type, to check a rule before the first result.
        read: reads the value from a result; returns None if the result has none.
    """

    meaning: str
    example: RuleValue
    read: Callable[[Result], RuleValue]


def values_of(result: Result) -> dict[str, RuleValue]:
    """Return the values of all names in a result."""
    return {name: known.read(result) for name, known in RULE_NAMES.items()}


def examples() -> dict[str, RuleValue]:
    """Return an example for each name, none of them None."""
    return {name: known.example for name, known in RULE_NAMES.items()}


def _labels(scored: Iterable[LabelScore | Prediction]) -> Phrases:
    return Phrases((label.label, label.score) for label in scored)


def _words(result: Result) -> Phrases:
    return Phrases((words.text, 1.0) for words in result.observations.words)


def _quality_flags(result: Result) -> Phrases:
    return Phrases((flag, 1.0) for flag in (result.quality.flags if result.quality else ()))


def _heads(result: Result) -> Heads:
    return Heads({name: _labels(scored) for name, scored in result.predictions.items()})


def _scores(result: Result) -> PromptNumbers:
    return PromptNumbers({name: match.score for name, match in (result.matches or {}).items()})


def _quantiles(result: Result) -> PromptNumbers:
    return PromptNumbers({name: match.quantile for name, match in (result.matches or {}).items()})


def _detections(result: Result) -> Phrases:
    return Phrases((detection.label, detection.score) for detection in result.detections)


def _counts(result: Result) -> LabelNumbers:
    """Return the largest number of each label: in the picture that shows most of them."""
    if result.counts is None:
        return LabelNumbers(None)
    return LabelNumbers({label: count.largest for label, count in result.counts.items()})


def _lag_s(result: Result) -> float | None:
    last_ms = result.arrival_ms.last
    return None if last_ms is None else result.published_ns / NS_PER_S - last_ms / _MS_PER_S


RULE_NAMES: Final[dict[str, RuleName]] = {
    "speech": RuleName("share of speech in the audio, 0 to 1", 0.5, lambda result: result.observations.speech_share),
    "loudness": RuleName("integrated loudness, LUFS", -20.0, lambda result: result.observations.loudness_lufs),
    "visual": RuleName("labels of the frames", Phrases(), lambda result: _labels(result.observations.visual)),
    "sound": RuleName(
        "share of silence, speech, music and singing", Phrases(), lambda result: _labels(result.observations.sound)
    ),
    "words": RuleName("text of the cues", Phrases(), _words),
    "quality": RuleName("flags of technical quality, such as `frozen`", Phrases(), _quality_flags),
    "language": RuleName("language of the cues", "eng", lambda result: result.observations.language),
    "predictions": RuleName("labels predicted by the trained heads, by head", Heads({}), _heads),
    "matches": RuleName("how well the window fits each prompt, 0 to 1", PromptNumbers({}), _scores),
    "quantiles": RuleName("share of recent windows that fit the prompt less well", PromptNumbers({}), _quantiles),
    "people": RuleName("how many people at least, in one picture", 1, lambda result: _counts(result)["people"]),
    "faces": RuleName("how many faces, in one picture", 1, lambda result: _counts(result)["face"]),
    "counts": RuleName("how many objects of a label, in one picture", LabelNumbers({}), _counts),
    "detections": RuleName("labels of the detections", Phrases(), _detections),
    "novelty": RuleName("how unusual the window is", 0.5, lambda result: result.novelty),
    "stream": RuleName("the stream's id", "city", lambda result: result.stream),
    "video": RuleName("state of the video", "present", lambda result: result.modalities.video.state),
    "audio": RuleName("state of the audio", "present", lambda result: result.modalities.audio.state),
    "subtitles": RuleName("state of the subtitles", "present", lambda result: result.modalities.subtitles.state),
    "closed_by": RuleName("why the window closed", "progress", lambda result: result.closed_by),
    "lag": RuleName("seconds from the last record's arrival to publication", 0.5, _lag_s),
    "start": RuleName("start of the window, seconds since the epoch", 0.5, lambda result: result.start_ns / NS_PER_S),
    "end": RuleName("end of the window, seconds since the epoch", 0.5, lambda result: result.end_ns / NS_PER_S),
    "revision": RuleName("0 for the first result of a window", 1, lambda result: result.revision),
    "skipped": RuleName("empty windows skipped before it", 1, lambda result: result.skipped),
    "dead": RuleName("records that were dead-lettered", 1, lambda result: result.dead),
}
