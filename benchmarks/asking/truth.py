"""The right answers, from what the feeds contain. It shares no code with the program that answers.

What counts as right is written in docs/asking.md: windows of a stream that follow one another, with gaps of at most one
window, are one moment; each cue is one time something was said.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from benchmarks.asking.feeds import START_NS, STREAMS, THINGS, WINDOW_NS, Cue, KnownFeeds, window_result_id, window_span

Place = tuple[str, int, int]


@dataclass(frozen=True, slots=True)
class Truth:
    """A right answer: its value, its moments where the question is about times, and the results that support it."""

    value: object
    places: frozenset[Place] | None
    supporting: frozenset[str]


class KnownAnswers:
    """Answers questions from the feeds themselves."""

    def __init__(self, feeds: KnownFeeds) -> None:
        self._feeds = feeds

    def answer(self, variant: str, slots: Mapping[str, str]) -> Truth | None:
        """Return the right answer of a question; None if the feeds have none."""
        found: Truth | None = getattr(self, _VARIANTS[variant])(slots)
        return found

    def seen_moments(self, thing: str) -> list[tuple[str, int, int]]:
        """Return the first and the last window of each moment, by stream."""
        return [moment for stream in STREAMS for moment in self._moments(stream, self._feeds.things[stream, thing])]

    def said(self, word: str) -> list[Cue]:
        """Return the cues that say a word."""
        return [cue for cue in self._feeds.cues if cue.word == word]

    @staticmethod
    def _moments(stream: str, numbers: Iterable[int]) -> list[tuple[str, int, int]]:
        moments: list[tuple[str, int, int]] = []
        for number in sorted(numbers):
            if moments and number <= moments[-1][2] + 2:
                moments[-1] = (stream, moments[-1][1], number)
            else:
                moments.append((stream, number, number))
        return moments

    def _cue_windows(self, cue: Cue) -> range:
        return range((cue.start_ns - START_NS) // WINDOW_NS, (cue.end_ns - 1 - START_NS) // WINDOW_NS + 1)

    def _cue_results(self, cues: Iterable[Cue]) -> frozenset[str]:
        return frozenset(window_result_id(cue.stream, number) for cue in cues for number in self._cue_windows(cue))

    def _thing_results(self, thing: str) -> frozenset[str]:
        return frozenset(window_result_id(stream, n) for stream in STREAMS for n in self._feeds.things[stream, thing])

    def _places(self, moments: Iterable[tuple[str, int, int]]) -> frozenset[Place]:
        return frozenset((stream, window_span(first)[0], window_span(last)[1]) for stream, first, last in moments)

    def _when_seen(self, slots: Mapping[str, str]) -> Truth | None:
        moments = self.seen_moments(slots["thing"])
        return Truth(None, self._places(moments), self._thing_results(slots["thing"])) if moments else None

    def _when_said(self, slots: Mapping[str, str]) -> Truth | None:
        cues = self.said(slots["word"])
        return self._cue_truth(None, cues) if cues else None

    def _when_heard(self, slots: Mapping[str, str]) -> Truth | None:
        del slots
        music = self._feeds.music
        moments = [moment for stream in STREAMS for moment in self._moments(stream, music[stream])]
        results = frozenset(window_result_id(stream, number) for stream in STREAMS for number in music[stream])
        return Truth(None, self._places(moments), results)

    def _first_seen(self, slots: Mapping[str, str]) -> Truth | None:
        moments = sorted(self.seen_moments(slots["thing"]), key=lambda moment: (moment[1], moment[0]))
        return Truth(None, self._places(moments[:1]), self._thing_results(slots["thing"])) if moments else None

    def _last_said(self, slots: Mapping[str, str]) -> Truth | None:
        cues = self.said(slots["word"])
        return self._cue_truth(None, [max(cues, key=lambda cue: cue.start_ns)]) if cues else None

    def _how_many_people(self, slots: Mapping[str, str]) -> Truth | None:
        del slots
        return self._largest(self._feeds.people)

    def _how_many_things(self, slots: Mapping[str, str]) -> Truth | None:
        return self._largest({stream: self._feeds.things[stream, slots["thing"]] for stream in STREAMS})

    def _how_often_said(self, slots: Mapping[str, str]) -> Truth | None:
        cues = self.said(slots["word"])
        return self._cue_truth(len(cues), cues, places=False) if cues else None

    def _how_often_seen(self, slots: Mapping[str, str]) -> Truth | None:
        moments = self.seen_moments(slots["thing"])
        return Truth(len(moments), None, self._thing_results(slots["thing"])) if moments else None

    def _who_said(self, slots: Mapping[str, str]) -> Truth | None:
        cues = self.said(slots["word"])
        return self._cue_truth(frozenset(cue.speaker for cue in cues), cues, places=False) if cues else None

    def _on_screen_at(self, slots: Mapping[str, str]) -> Truth | None:
        return self._shown({(stream, int(slots["number"])) for stream in STREAMS})

    def _on_screen_said(self, slots: Mapping[str, str]) -> Truth | None:
        cues = self.said(slots["word"])
        return self._shown({(cue.stream, number) for cue in cues for number in self._cue_windows(cue)})

    def _said_at(self, slots: Mapping[str, str]) -> Truth | None:
        start_ns = START_NS + int(slots["second"]) * 1_000_000_000
        cues = [cue for cue in self._feeds.cues if cue.start_ns < start_ns + 1_000_000_000 and cue.end_ns > start_ns]
        return self._spoken(cues)

    def _said_while(self, slots: Mapping[str, str]) -> Truth | None:
        return self._spoken([cue for cue in self._feeds.cues if self._during(cue, slots["thing"])])

    def _said_after(self, slots: Mapping[str, str]) -> Truth | None:
        found: list[Cue] = []
        for stream in STREAMS:
            moments = self._moments(stream, self._feeds.things[stream, slots["thing"]])
            if moments:
                end_ns = window_span(moments[0][2])[1]
                later = [cue for cue in self._feeds.cues if cue.stream == stream and cue.start_ns >= end_ns]
                found += later[:1]
        return self._spoken(found)

    def _order(self, slots: Mapping[str, str]) -> Truth | None:
        is_before, results = False, set()
        if not self.seen_moments(slots["other"]):
            return None
        for stream in STREAMS:
            things, others = (self._feeds.things[stream, slots[name]] for name in ("thing", "other"))
            if others:
                earlier = {number for number in things if number < min(others)}
                is_before |= bool(earlier)
                results |= {window_result_id(stream, number) for number in earlier}
        return Truth(is_before, None, frozenset(results))

    def _heard_while(self, slots: Mapping[str, str]) -> Truth | None:
        if not self.seen_moments(slots["thing"]):
            return None
        both = {
            window_result_id(stream, number)
            for stream in STREAMS
            for number in self._feeds.music[stream] & set(self._feeds.things[stream, slots["thing"]])
        }
        return Truth(bool(both), None, frozenset(both))

    def _when_said_while(self, slots: Mapping[str, str]) -> Truth | None:
        cues = [cue for cue in self.said(slots["word"]) if self._during(cue, slots["thing"])]
        return self._cue_truth(None, cues) if cues else None

    def _ever_seen(self, slots: Mapping[str, str]) -> Truth | None:
        thing = slots["thing"]
        if thing not in THINGS:
            return Truth(value=False, places=None, supporting=frozenset())
        return Truth(bool(self.seen_moments(thing)), None, self._thing_results(thing))

    def _ever_said(self, slots: Mapping[str, str]) -> Truth | None:
        return self._cue_truth(bool(self.said(slots["word"])), self.said(slots["word"]), places=False)

    def _compare_said(self, slots: Mapping[str, str]) -> Truth | None:
        both = [self.said(slots[name]) for name in ("word", "other_word")]
        if not any(both):
            return None
        return self._cue_truth(tuple(len(cues) for cues in both), both[0] + both[1], places=False)

    def _during(self, cue: Cue, thing: str) -> bool:
        return any(number in self._feeds.things[cue.stream, thing] for number in self._cue_windows(cue))

    def _largest(self, counts: Mapping[str, Mapping[int, int]]) -> Truth | None:
        most = max((count for found in counts.values() for count in found.values()), default=0)
        results = {
            window_result_id(stream, number)
            for stream, found in counts.items()
            for number, count in found.items()
            if count == most
        }
        # The moments of the largest number may bridge a window with another one.
        return Truth(most, None, frozenset(results)) if most else None

    def _shown(self, windows: Iterable[tuple[str, int]]) -> Truth | None:
        names, results = set(), set()
        for stream, number in windows:
            found = {thing for (of, thing), numbers in self._feeds.things.items() if of == stream and number in numbers}
            found |= {"people"} if number in self._feeds.people[stream] else set()
            names |= found
            results |= {window_result_id(stream, number)} if found else set()
        return Truth(frozenset(names), None, frozenset(results)) if names else None

    def _spoken(self, cues: Iterable[Cue]) -> Truth | None:
        cues = list(cues)
        return self._cue_truth(frozenset(cue.text for cue in cues), cues, places=False) if cues else None

    def _cue_truth(self, value: object, cues: Iterable[Cue], *, places: bool = True) -> Truth:
        cues = list(cues)
        spans = frozenset((cue.stream, cue.start_ns, cue.end_ns) for cue in cues) if places else None
        return Truth(value, spans, self._cue_results(cues))


_VARIANTS: Final = {
    "when.seen": "_when_seen",
    "when.said": "_when_said",
    "when.heard": "_when_heard",
    "first_last.first_seen": "_first_seen",
    "first_last.last_said": "_last_said",
    "how_many.people": "_how_many_people",
    "how_many.things": "_how_many_things",
    "how_often.said": "_how_often_said",
    "how_often.seen": "_how_often_seen",
    "who.said": "_who_said",
    "on_screen.at": "_on_screen_at",
    "on_screen.said": "_on_screen_said",
    "said.at": "_said_at",
    "said.while": "_said_while",
    "before_after.said_after": "_said_after",
    "before_after.order": "_order",
    "while.heard": "_heard_while",
    "while.when": "_when_said_while",
    "ever.seen": "_ever_seen",
    "ever.said": "_ever_said",
    "compare.said": "_compare_said",
}
