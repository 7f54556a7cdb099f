"""Answer a question that was understood: look its clauses up, relate them in time, and count."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol

from triptych.consumers.asking.answer import Value
from triptych.consumers.asking.lookup import AskScope, IndexLookup, Occurrence
from triptych.consumers.asking.parsing.question import Clause, ParsedQuestion, Wanted
from triptych.consumers.asking.time_spans import TimeSpans, spans_by_stream
from triptych.units import NS_PER_S


class Look(Protocol):
    """Returns everything of one kind in a scope: cues, things or sounds. Of too much, the first or the newest."""

    def __call__(self, scope: AskScope, *, newest: bool = False, spans: TimeSpans | None = None) -> list[Occurrence]:
        """Return it, in order of time."""
        ...


_REACHES_NS: Final = (60 * NS_PER_S, 3_600 * NS_PER_S, None)
"""How far to look for what came next, before looking further: most of an index is never read."""
_OPEN: Final = frozenset({Wanted.WHAT_SAID, Wanted.WHAT_SEEN, Wanted.WHAT_HEARD})


class NothingFoundError(Exception):
    """The index does not support an answer. `reason` is one of the keys of the wording, `term` what is missing."""

    def __init__(self, reason: str, term: str = "") -> None:
        super().__init__(reason, term)
        self.reason = reason
        self.term = term


@dataclass(frozen=True, slots=True)
class FoundAnswer:
    """What was found: the value of the answer, the moments behind it, and those of what it wants to know besides."""

    value: Value
    moments: tuple[Occurrence, ...]
    also_value: tuple[str, ...] = ()
    also: tuple[Occurrence, ...] = ()


def answer_parsed(asked: ParsedQuestion, lookup: IndexLookup, scope: AskScope) -> FoundAnswer:
    """Answer a question.

    Raises:
        NothingFoundError: nothing supports an answer.
    """
    if not lookup.has_windows(scope):
        raise NothingFoundError("no windows")
    if asked.wanted in _OPEN and asked.about is None:
        return _answer_open(asked, lookup, scope)
    if asked.about is None:
        raise NothingFoundError("nothing")
    if asked.wanted is Wanted.COMPARE and asked.other is not None:
        return _compare(asked.about, asked.other, lookup, scope)
    found = _occurrences(asked.about, lookup, scope, newest=asked.wanted is Wanted.LAST)
    if not found and asked.wanted is not Wanted.EVER:
        raise NothingFoundError("never", asked.about.term)
    if asked.anchor is not None and asked.relation is not None:
        found = _related(found, asked, _anchors(asked.anchor, lookup, scope))
    if not found and asked.wanted is not Wanted.EVER:
        raise NothingFoundError("never together", asked.about.term)
    finding = _ANSWERS[asked.wanted](asked, found)
    if asked.also is None or not finding.moments:
        return finding
    also_value, also = _besides(asked.also, finding.moments, lookup)
    return replace(finding, also_value=also_value, also=also)


def _answer_open(asked: ParsedQuestion, lookup: IndexLookup, scope: AskScope) -> FoundAnswer:
    """Answer what was said, seen or heard: then, while something else was, or next to it."""
    look = {Wanted.WHAT_SAID: lookup.cues, Wanted.WHAT_SEEN: lookup.shown, Wanted.WHAT_HEARD: lookup.sounds}[
        asked.wanted
    ]
    if asked.anchor is None or asked.relation is None:
        found = look(scope)
    else:
        anchors = _anchors(asked.anchor, lookup, scope)
        found = _around(look, asked.relation, anchors, scope)
    if not found:
        raise NothingFoundError("nothing then")
    return FoundAnswer(_named(found), tuple(found))


def _around(look: Look, relation: str, anchors: Sequence[Occurrence], scope: AskScope) -> list[Occurrence]:
    """Return what is at the same time as the anchors; or what is next before or after the first of each stream."""
    if relation == "while":
        return _during(look, anchors, scope)
    found: list[Occurrence] = []
    for anchor in _first_of_each_stream(anchors):
        beside = scope.narrowed(AskScope((anchor.stream,)))
        found += (
            next_after(look, anchor.end_ns, beside)
            if relation == "after"
            else next_before(look, anchor.start_ns, beside)
        )
    return found


def _during(look: Look, anchors: Sequence[Occurrence], scope: AskScope) -> list[Occurrence]:
    """Return what is at the same time as any of the anchors, from one read of each stream."""
    found: list[Occurrence] = []
    for stream, spans in spans_by_stream(anchors).items():
        all_of_them = AskScope((stream,), int(spans.starts_ns[0]), int(spans.ends_ns[-1]))
        found += spans.overlapping(look(scope.narrowed(all_of_them), spans=spans))
    return _each_once(found)


def next_after(look: Look, time_ns: int, scope: AskScope) -> list[Occurrence]:
    """Return what begins next at or after a time: everything that begins first."""
    for reach_ns in _REACHES_NS:
        until_ns = None if reach_ns is None else time_ns + reach_ns
        found = [one for one in look(scope.narrowed(AskScope((), time_ns, until_ns))) if one.start_ns >= time_ns]
        if found:
            earliest_ns = min(one.start_ns for one in found)
            return [one for one in found if one.start_ns == earliest_ns]
    return []


def next_before(look: Look, time_ns: int, scope: AskScope) -> list[Occurrence]:
    """Return what ended last at or before a time: everything that ended last."""
    for reach_ns in _REACHES_NS:
        since_ns = None if reach_ns is None else time_ns - reach_ns
        found = [
            one for one in look(scope.narrowed(AskScope((), since_ns, time_ns)), newest=True) if one.end_ns <= time_ns
        ]
        if found:
            latest_ns = max(one.end_ns for one in found)
            return [one for one in found if one.end_ns == latest_ns]
    return []


def _anchors(clause: Clause, lookup: IndexLookup, scope: AskScope) -> list[Occurrence]:
    anchors = _occurrences(clause, lookup, scope)
    if not anchors:
        raise NothingFoundError("never", clause.term)
    return anchors


def _occurrences(clause: Clause, lookup: IndexLookup, scope: AskScope, *, newest: bool = False) -> list[Occurrence]:
    if not clause.term:
        return lookup.cues(scope, newest=newest) if clause.sense == "said" else []
    look = {"said": lookup.said, "seen": lookup.seen, "heard": lookup.heard}[clause.sense]
    return look(clause.term, scope, newest=newest)


def _related(found: Sequence[Occurrence], asked: ParsedQuestion, anchors: Sequence[Occurrence]) -> list[Occurrence]:
    """Keep what is in the relation to the anchor, in the same stream. Before and after compare with its first start."""
    if asked.relation == "while":
        during = {
            one for stream, spans in spans_by_stream(anchors).items()
            for one in spans.overlapping(each for each in found if each.stream == stream)
        }  # fmt: skip
        return [one for one in found if one in during]
    first = {anchor.stream: anchor for anchor in _first_of_each_stream(anchors)}
    if asked.relation == "before":
        return [one for one in found if one.stream in first and one.start_ns < first[one.stream].start_ns]
    return [one for one in found if one.stream in first and one.start_ns > first[one.stream].start_ns]


def moments_of(found: Sequence[Occurrence]) -> list[Occurrence]:
    """Join occurrences of a stream that follow one another. A gap of one window is bridged, as in a search."""
    moments: list[Occurrence] = []
    for one in sorted(found, key=lambda one: (one.stream, one.start_ns, one.end_ns)):
        last = moments[-1] if moments else None
        length_ns = one.end_ns - one.start_ns
        if last is None or last.stream != one.stream or one.start_ns > last.end_ns + length_ns:
            moments.append(one)
            continue
        counts = [count for count in (last.count, one.count) if count is not None]
        moments[-1] = Occurrence(
            last.stream,
            last.start_ns,
            max(last.end_ns, one.end_ns),
            tuple(dict.fromkeys((*last.results, *one.results))),
            ", ".join(dict.fromkeys((*last.text.split(", "), *one.text.split(", ")))),
            max(counts, default=None),
            last.is_cue,
            last.is_sound,
        )
    return sorted(moments, key=lambda one: (one.start_ns, one.stream))


def _times(asked: ParsedQuestion, found: Sequence[Occurrence]) -> tuple[Occurrence, ...]:
    """Return when a clause holds: each cue, or windows joined to moments."""
    return tuple(found if asked.about is not None and asked.about.sense == "said" else moments_of(found))


def _when(asked: ParsedQuestion, found: Sequence[Occurrence]) -> FoundAnswer:
    return FoundAnswer(None, _times(asked, found))


def _first(asked: ParsedQuestion, found: Sequence[Occurrence]) -> FoundAnswer:
    return FoundAnswer(None, _times(asked, found)[:1])


def _last(asked: ParsedQuestion, found: Sequence[Occurrence]) -> FoundAnswer:
    return FoundAnswer(None, (max(_times(asked, found), key=lambda one: (one.start_ns, one.end_ns)),))


def _how_many(asked: ParsedQuestion, found: Sequence[Occurrence]) -> FoundAnswer:
    counted = [one for one in found if one.count is not None]
    if not counted:
        raise NothingFoundError("not counted", "" if asked.about is None else asked.about.term)
    most = max(one.count or 0 for one in counted)
    return FoundAnswer(most, tuple(moments_of([one for one in counted if one.count == most])))


def _how_often(asked: ParsedQuestion, found: Sequence[Occurrence]) -> FoundAnswer:
    times = _times(asked, found)
    return FoundAnswer(len(times), times)


def _how_long(asked: ParsedQuestion, found: Sequence[Occurrence]) -> FoundAnswer:
    times = _times(asked, found)
    return FoundAnswer(sum(one.end_ns - one.start_ns for one in times) / NS_PER_S, times)


def _who(asked: ParsedQuestion, found: Sequence[Occurrence]) -> FoundAnswer:
    spoken = [(one.mentions.speaker, one) for one in found]
    if not any(speaker for speaker, _ in spoken):
        raise NothingFoundError("no speaker", "" if asked.about is None else asked.about.term)
    names = tuple(dict.fromkeys(speaker for speaker, _ in spoken if speaker))
    return FoundAnswer(names, tuple(one for speaker, one in spoken if speaker))


def _mentioned(asked: ParsedQuestion, found: Sequence[Occurrence]) -> FoundAnswer:
    """Return the names that cues say, and the cues that say one."""
    del asked
    named = [(one.mentions.names, one) for one in found]
    names = tuple(dict.fromkeys(name for said, _ in named for name in said))
    if not names:
        raise NothingFoundError("no names")
    return FoundAnswer(names, tuple(one for said, one in named if said))


def _what_about(asked: ParsedQuestion, found: Sequence[Occurrence]) -> FoundAnswer:
    del asked
    return FoundAnswer(_named(found), tuple(found))


def _which_stream(asked: ParsedQuestion, found: Sequence[Occurrence]) -> FoundAnswer:
    return FoundAnswer(tuple(sorted({one.stream for one in found})), _times(asked, found))


def _ever(asked: ParsedQuestion, found: Sequence[Occurrence]) -> FoundAnswer:
    return FoundAnswer(bool(found), _times(asked, found))


_ANSWERS: Final[dict[Wanted, Callable[[ParsedQuestion, Sequence[Occurrence]], FoundAnswer]]] = {
    Wanted.WHEN: _when, Wanted.FIRST: _first, Wanted.LAST: _last, Wanted.HOW_MANY: _how_many,
    Wanted.HOW_OFTEN: _how_often, Wanted.HOW_LONG: _how_long, Wanted.WHO: _who, Wanted.MENTIONED: _mentioned,
    Wanted.WHAT_SAID: _what_about,
    Wanted.WHAT_SEEN: _what_about, Wanted.WHAT_HEARD: _what_about, Wanted.WHICH_STREAM: _which_stream,
    Wanted.EVER: _ever,
}  # fmt: skip


def _compare(about: Clause, other: Clause, lookup: IndexLookup, scope: AskScope) -> FoundAnswer:
    """Compare how often two things were said or seen."""
    both = [_occurrences(clause, lookup, scope) for clause in (about, other)]
    times = [
        found if clause.sense == "said" else moments_of(found)
        for clause, found in zip((about, other), both, strict=True)
    ]
    if not any(times):
        raise NothingFoundError("never", about.term)
    return FoundAnswer((len(times[0]), len(times[1])), tuple(one for found in times for one in found))


def _besides(
    wanted: Wanted, moments: Sequence[Occurrence], lookup: IndexLookup
) -> tuple[tuple[str, ...], tuple[Occurrence, ...]]:
    if wanted is Wanted.WHO:
        speakers = [(one.mentions.speaker, one) for one in moments]
        return tuple(dict.fromkeys(name for name, _ in speakers if name)), tuple(one for name, one in speakers if name)
    look: Look = lookup.cues if wanted is Wanted.WHAT_SAID else lookup.shown
    found = _during(look, moments, AskScope())
    return _named(found), tuple(found)


def _named(found: Sequence[Occurrence]) -> tuple[str, ...]:
    """Return the texts, each once, in order of time."""
    return tuple(dict.fromkeys(one.text for one in found))


def _each_once(found: Iterable[Occurrence]) -> list[Occurrence]:
    return sorted(dict.fromkeys(found), key=lambda one: (one.start_ns, one.stream, one.end_ns))


def _first_of_each_stream(anchors: Sequence[Occurrence]) -> list[Occurrence]:
    first: dict[str, Occurrence] = {}
    for moment in moments_of(anchors):
        first.setdefault(moment.stream, moment)
    return list(first.values())
