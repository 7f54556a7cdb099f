"""What an index holds of a stream, hour by hour: counts, people, words, prompts and troubles. Reads only the index."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from triptych.consumers.asking.answering import moments_of
from triptych.consumers.asking.lookup import AskScope, IndexLookup, Occurrence
from triptych.units import NS_PER_S

HOUR_NS: Final = 3_600 * NS_PER_S
_PEOPLE: Final = "people"
_PHRASES: Final = 8
_FIRST_LINES: Final = 3
_WORD: Final = re.compile(r"[^\W\d_\u3400-\u9fff]{5,}")
_HAN_RUN: Final = re.compile(r"[\u3400-\u9fff]{2,}")
_HAN_LENGTHS: Final = (4, 3, 2)
_COMMON_WORDS: Final = """
about after again being could every first other should their there these thing things think those under where which
while would
"""
_COMMON: Final = frozenset(_COMMON_WORDS.split())


@dataclass(frozen=True, slots=True)
class ThingSummary:
    """How often and how long something was: its moments, their seconds, and the most at once (None: not counted)."""

    name: str
    moments: tuple[Occurrence, ...]
    most: int | None = None

    @property
    def seconds(self) -> float:
        """How long it was in all."""
        return sum(one.end_ns - one.start_ns for one in self.moments) / NS_PER_S


@dataclass(frozen=True, slots=True)
class HourSummary:
    """One hour of a stream.

    Attributes:
        start_ns: its start in event time.
        end_ns: its end.
        people: how many people were seen; None if none were.
        things: what else was seen, the longest first.
        sounds: what was heard.
        prompts: which prompts matched.
        troubles: the flags of the quality.
        cues: everything that was said.
        phrases: what was said in several cues, with the number of cues.
        titles: titles of descriptions.
    """

    start_ns: int
    end_ns: int
    people: ThingSummary | None
    things: tuple[ThingSummary, ...]
    sounds: tuple[ThingSummary, ...]
    prompts: tuple[ThingSummary, ...]
    troubles: tuple[ThingSummary, ...]
    cues: tuple[Occurrence, ...]
    phrases: tuple[tuple[str, int], ...]
    titles: tuple[Occurrence, ...]

    @property
    def first_lines(self) -> tuple[Occurrence, ...]:
        """What was said first."""
        return self.cues[:_FIRST_LINES]

    @property
    def best_moment(self) -> Occurrence | None:
        """The moment that shows most: people, or else the thing seen longest."""
        shown = self.people or (self.things[0] if self.things else None)
        if shown is None:
            return None
        return max(shown.moments, key=lambda one: (one.count or 0, one.end_ns - one.start_ns, -one.start_ns))


def hours_of(lookup: IndexLookup, scope: AskScope) -> Iterator[HourSummary]:
    """Yield the hours of a scope in which the index holds anything. An hour begins at a full hour, in UTC."""
    for begin_ns, end_ns in lookup.hours(scope, HOUR_NS):
        hour = scope.narrowed(AskScope((), begin_ns, end_ns))
        if hour.since_ns is not None and hour.until_ns is not None and hour.since_ns < hour.until_ns:
            # A window that overlaps two hours is summed up in the one in which it begins.
            yield _hour(lookup, hour, hour.since_ns, hour.until_ns)


def _hour(lookup: IndexLookup, scope: AskScope, start_ns: int, end_ns: int) -> HourSummary:
    def begun(found: Iterable[Occurrence]) -> list[Occurrence]:
        return [one for one in found if start_ns <= one.start_ns < end_ns]

    things = _things(begun(lookup.shown(scope)))
    cues = begun(lookup.cues(scope))
    return HourSummary(
        start_ns,
        end_ns,
        next((thing for thing in things if thing.name == _PEOPLE), None),
        tuple(thing for thing in things if thing.name != _PEOPLE),
        _things(begun(lookup.sounds(scope))),
        _things(begun(lookup.listed("prompts", "matches", scope))),
        _things(begun(lookup.listed("quality", "flags", scope))),
        tuple(cues),
        tuple(top_phrases(cues)),
        tuple(begun(lookup.listed("description", "title", scope))),
    )


def _things(found: Sequence[Occurrence]) -> tuple[ThingSummary, ...]:
    by_name: defaultdict[str, list[Occurrence]] = defaultdict(list)
    for one in found:
        by_name[one.text].append(one)
    things = []
    for name, windows in by_name.items():
        counts = [one.count for one in windows if one.count is not None]
        things.append(ThingSummary(name, tuple(moments_of(windows)), max(counts, default=None)))
    return tuple(sorted(things, key=lambda thing: (-thing.seconds, thing.name)))


def top_phrases(cues: Iterable[Occurrence]) -> list[tuple[str, int]]:
    """Return the names, words and runs of Chinese characters that several cues have, with the number of cues."""
    numbers: Counter[str] = Counter()
    for cue in cues:
        said = cue.mentions
        text = cue.text if said.speaker is None else cue.text.partition(said.speaker)[2]
        of_names = {word for name in said.names for word in name.casefold().split()}
        words = {word for word in _WORD.findall(text.casefold()) if word not in _COMMON | of_names}
        runs = {run[at : at + length] for run in _HAN_RUN.findall(text) for length in _HAN_LENGTHS for at in
                range(len(run) - length + 1)}  # fmt: skip
        numbers.update({*said.names, *words, *runs})
    found: list[tuple[str, int]] = []
    for phrase, number in sorted(numbers.items(), key=lambda item: (-item[1], -len(item[0]), item[0])):
        # A part of a longer phrase that is said as often says nothing more.
        if number > 1 and not any(phrase in longer and number == other for longer, other in found):
            found.append((phrase, number))
    return found[:_PHRASES]
