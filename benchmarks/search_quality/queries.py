"""The queries about the generated feeds, and which windows answer each. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from benchmarks.search_quality.content import LANGUAGES, FeedContent, FeedPicture, FeedTopic, PlannedQuery
from benchmarks.search_quality.feed_plan import StreamPlan
from benchmarks.search_quality.metrics import FULL_GAIN, Window

Gain = Callable[[StreamPlan, int], int]
"""The gain of a window of a stream."""


@dataclass(frozen=True, slots=True)
class LabelledQuery:
    """A query and what answers it.

    Attributes:
        split: `tuned`, `held_out` or `clips`.
        kind: what it asks for: `words said`, `paraphrase`, `object`, `scene`, `both`, `heard` or `filter`.
        subject: what it is about; queries about one thing are not independent.
        language: of its text.
        text: its text.
        gains: gain of each window that has one.
        said: words that the windows must have in their cues.
        heard: words for what must be heard in them.
        stream: the only stream; empty for all.
        from_window: the first window.
        to_window: the end of the windows; None for no end.
    """

    split: str
    kind: str
    subject: str
    language: str
    text: str
    gains: Mapping[Window, int]
    said: str = ""
    heard: str = ""
    stream: str = ""
    from_window: int = 0
    to_window: int | None = None


def feed_queries(content: FeedContent, plans: Sequence[StreamPlan]) -> Iterator[LabelledQuery]:
    """Yield the queries of a split that have an answer in the feeds."""
    pictures = {picture.id: picture for picture in content.pictures}
    topics = {topic.id: topic for topic in content.topics}
    found: list[LabelledQuery] = []
    for picture in content.pictures:
        gains = _gains(plans, _shows(picture))
        found += [
            LabelledQuery(content.split, kind, picture.id, language, text, gains)
            for (kind, language), text in picture.queries.items()
        ]
    for topic in content.topics:
        for (kind, language), text in topic.queries.items():
            fully = {f"{topic.id}.{language}0"} if kind == "exact" else {f"{topic.id}.{one}0" for one in LANGUAGES}
            name = "words said" if kind == "exact" else "paraphrase"
            found.append(
                LabelledQuery(content.split, name, topic.id, language, text, _gains(plans, _says(topic, fully, plans)))
            )
    for planned in content.planned:
        found += _planned(content.split, planned, pictures, topics, plans)
    yield from (query for query in found if any(gain == FULL_GAIN for gain in query.gains.values()))


def _planned(
    split: str,
    planned: PlannedQuery,
    pictures: Mapping[str, FeedPicture],
    topics: Mapping[str, FeedTopic],
    plans: Sequence[StreamPlan],
) -> Iterator[LabelledQuery]:
    shows = _shows(pictures[planned.picture]) if planned.picture else None
    says = None
    if planned.topic:
        says = _says(topics[planned.topic], {f"{planned.topic}.{language}0" for language in LANGUAGES}, plans)
    for language, text in planned.texts.items():
        query = LabelledQuery(split, planned.kind, planned.picture or planned.topic or "music", language, text, {})
        if planned.kind == "heard":
            yield replace(query, gains=_gains(plans, _with_music(shows)))
        elif planned.kind == "both" and shows is not None and says is not None:
            yield replace(query, gains=_gains(plans, _in_one_window(shows, says)))
        elif planned.condition == "said" and shows is not None:
            yield replace(query, gains=_gains(plans, _where_said(planned.said, shows, plans)), said=planned.said)
        else:
            yield _filtered(query, planned.condition, shows or says or _nothing, plans)


def _filtered(query: LabelledQuery, condition: str, gain: Gain, plans: Sequence[StreamPlan]) -> LabelledQuery:
    gains = _gains(plans, gain)
    half = len(plans[0].shown) // 2
    if condition == "heard":
        music = {plan.stream: plan.music for plan in plans}
        return replace(query, gains={w: one for w, one in gains.items() if music[w[0]][w[1]]}, heard="music")
    if condition == "stream":
        streams = Counter(window[0] for window, one in gains.items() if one == FULL_GAIN)
        stream = max(sorted(streams), key=streams.__getitem__)
        return replace(query, gains={w: one for w, one in gains.items() if w[0] == stream}, stream=stream)
    if condition == "first-half":
        return replace(query, gains={w: one for w, one in gains.items() if w[1] < half}, to_window=half)
    if condition == "second-half":
        return replace(query, gains={w: one for w, one in gains.items() if w[1] >= half}, from_window=half)
    raise ValueError(f"{query.text}: expected a known condition, got {condition!r}")


def _gains(plans: Sequence[StreamPlan], gain: Gain) -> dict[Window, int]:
    found = {(plan.stream, number): gain(plan, number) for plan in plans for number in range(len(plan.shown))}
    return {window: one for window, one in found.items() if one}


def _shows(picture: FeedPicture) -> Gain:
    return lambda plan, number: (
        2 if plan.shown[number] == picture.id else 1 if plan.shown[number] in picture.partly else 0
    )


def _says(topic: FeedTopic, fully: set[str], plans: Sequence[StreamPlan]) -> Gain:
    """Return 2 for windows in which one of these sentences is said, 1 for another one of the topic."""
    lines = set(topic.lines())
    gains: dict[Window, int] = {}
    for plan in plans:
        for cue in (one for one in plan.cues if one.line in lines):
            for number in cue.windows():
                before = gains.get((plan.stream, number), 0)
                gains[plan.stream, number] = max(before, FULL_GAIN if cue.line in fully else 1)
    return lambda plan, number: gains.get((plan.stream, number), 0)


def _where_said(word: str, shows: Gain, plans: Sequence[StreamPlan]) -> Gain:
    """Return the gain of what is shown, in windows with a cue that has the word."""
    said = {
        (plan.stream, number) for plan in plans for cue in plan.cues if word in cue.text for number in cue.windows()
    }
    return lambda plan, number: shows(plan, number) if (plan.stream, number) in said else 0


def _in_one_window(shows: Gain, says: Gain) -> Gain:
    def gain(plan: StreamPlan, number: int) -> int:
        seen, said = shows(plan, number) == FULL_GAIN, says(plan, number) > 0
        return 2 if seen and said else 1 if seen or said else 0

    return gain


def _with_music(shows: Gain | None) -> Gain:
    def gain(plan: StreamPlan, number: int) -> int:
        if shows is None:
            return 2 if plan.music[number] else 0
        return 0 if shows(plan, number) < FULL_GAIN else 2 if plan.music[number] else 1

    return gain


def _nothing(plan: StreamPlan, number: int) -> int:
    del plan, number
    return 0
