"""Comparison of the final windows with what the producers sent. Pure.

A replay of the log judges as the worker did, so it cannot find a rule that leaves out what arrived. The producers know
better: each window must have the pictures, chunks and cues that were sent for it, by number and by time.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NamedTuple

from triptych.schemas.names import MODALITIES, Modality

_SHOWN: Final = 4
_NS_PER_S: Final = 1_000_000_000

FaultKind = Literal["lost", "hollow", "wrong"]
Span = tuple[int, int]


class Item(NamedTuple):
    """A picture, chunk or cue that was sent. A picture ends 1 ns after its instant, as in the worker."""

    stream: str
    modality: Modality
    start_ns: int
    end_ns: int


class Place(NamedTuple):
    """Where a record is: on the input topic of its modality."""

    modality: Modality
    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class Truth:
    """What the producers sent.

    `items` are those that a producer had to send, and either were acknowledged or were shed by the producer. `shed` is
    how many of a stream's items its producer said that it shed; a stream without an entry shed none. `contradictions`
    is what a producer said that cannot be.
    """

    items: Sequence[Item]
    shed: Mapping[str, int] = field(default_factory=dict)
    contradictions: Sequence[str] = ()

    def __add__(self, other: Truth) -> Truth:
        """Return the truth of both. Their streams are different."""
        return Truth(
            [*self.items, *other.items],
            {**self.shed, **other.shed},
            [*self.contradictions, *other.contradictions],
        )


@dataclass(frozen=True, slots=True)
class FoundRecords:
    """What a result says of one modality: how many items, and where the first and the last one are."""

    items: int
    first: Place | None
    last: Place | None


@dataclass(frozen=True, slots=True)
class FinalWindow:
    """The newest revision of a window."""

    stream: str
    start_ns: int
    end_ns: int
    revision: int
    closed_by: str
    found: Mapping[Modality, FoundRecords]
    words: frozenset[Span]


@dataclass(frozen=True, slots=True)
class WindowFault:
    """A window that is lost, hollow (it lacks what was sent) or wrong (it has what was not sent for it), and why."""

    kind: FaultKind
    stream: str
    start_ns: int
    what: str

    def __str__(self) -> str:
        return f"{self.stream} {_clock(self.start_ns)}: {self.kind}, {self.what}"


@dataclass(slots=True)
class TruthComparison:
    """The final windows compared with the truth.

    `windows` and `items` is how many were compared. `excepted` counts the items that a producer said it shed, and
    `unsaid` tells of streams that lack more than that on the topics, or have what was never sent.
    """

    windows: int = 0
    items: int = 0
    revised: int = 0
    excepted: int = 0
    unsaid: list[str] = field(default_factory=list)
    faults: list[WindowFault] = field(default_factory=list)

    @property
    def is_true(self) -> bool:
        """Whether each window has exactly what was sent and not said to be shed."""
        return not (self.faults or self.unsaid)

    def count(self, kind: FaultKind) -> int:
        """Return the number of windows with a kind of fault."""
        return len({(fault.stream, fault.start_ns) for fault in self.faults if fault.kind == kind})


def final_windows(documents: Iterable[bytes]) -> list[FinalWindow]:
    """Return the newest revision of each window, from results as JSON documents."""
    newest: dict[tuple[str, int, int], dict[str, Any]] = {}
    for document in map(json.loads, documents):
        key = document["stream"], document["start_ns"], document["end_ns"]
        if key not in newest or document["revision"] > newest[key]["revision"]:
            newest[key] = document
    return [_final_window(document) for _, document in sorted(newest.items())]


def _final_window(document: Mapping[str, Any]) -> FinalWindow:
    reports = document["modalities"]
    return FinalWindow(
        document["stream"],
        document["start_ns"],
        document["end_ns"],
        document["revision"],
        document["closed_by"],
        {modality: _found(modality, reports[modality]) for modality in MODALITIES},
        frozenset((words["start_ns"], words["end_ns"]) for words in document["observations"]["words"]),
    )


def _found(modality: Modality, report: Mapping[str, Any]) -> FoundRecords:
    if report["offsets"] is None:
        return FoundRecords(report["items"], None, None)
    first, last = (Place(modality, report["partition"], offset) for offset in report["offsets"])
    return FoundRecords(report["items"], first, last)


def compare_with_truth(
    truth: Truth, windows: Iterable[FinalWindow], log: Mapping[Place, Item], *, size_ns: int
) -> TruthComparison:
    """Compare the final windows with what was sent.

    Args:
        truth: what the producers sent. Results of other streams are ignored.
        windows: the final windows.
        log: the items on the input topics, by their places.
        size_ns: the size of the windows, which do not overlap.
    """
    comparison = TruthComparison(items=len(truth.items), unsaid=list(truth.contradictions))
    places: dict[Item, Place] = {}
    for place, item in sorted(log.items(), key=lambda each: each[0].offset):
        places.setdefault(item, place)  # a repeat, which the worker drops, comes after the original
    _compare_topics(comparison, truth, places)
    expected = _by_window([item for item in truth.items if item in places], size_ns)
    streams = {item.stream for item in truth.items}
    for window in windows:
        if window.stream in streams:
            own = expected.pop((window.stream, window.start_ns), {})
            comparison.windows += 1
            comparison.revised += window.revision > 0
            comparison.faults += _window_faults(window, own, places, log)
    for (stream, start_ns), own in sorted(expected.items()):
        comparison.faults.append(WindowFault("lost", stream, start_ns, f"{_numbers(own)} were sent"))
    return comparison


def _compare_topics(comparison: TruthComparison, truth: Truth, places: Mapping[Item, Place]) -> None:
    """Compare what is on the topics with what was sent, stream by stream."""
    absent, streams = defaultdict(list), {item.stream for item in truth.items}
    for item in truth.items:
        if item not in places:
            absent[item.stream].append(item)
    for stream, items in sorted(absent.items()):
        said = truth.shed.get(stream, 0)
        comparison.excepted += min(len(items), said)
        if len(items) > said:
            times = _times(sorted(items, key=lambda item: item.start_ns))
            comparison.unsaid.append(f"{stream}: {len(items)} items are missing, {said} were said to be shed: {times}")
    present = {item for item in places if item.stream in streams}
    never_sent = sorted(present.difference(truth.items), key=lambda item: (item.stream, item.start_ns))
    if never_sent:
        stream = never_sent[0].stream
        comparison.unsaid.append(f"{stream}: {len(never_sent)} items were never sent: {_times(never_sent)}")


Contents = Mapping[Modality, Sequence[Item]]


def _by_window(items: Iterable[Item], size_ns: int) -> dict[tuple[str, int], dict[Modality, list[Item]]]:
    """Return the items of each window, by stream and start, and by modality."""
    windows: dict[tuple[str, int], dict[Modality, list[Item]]] = {}
    for item in items:
        for index in range(item.start_ns // size_ns, (item.end_ns - 1) // size_ns + 1):
            own = windows.setdefault((item.stream, index * size_ns), {})
            own.setdefault(item.modality, []).append(item)
    return windows


def _window_faults(
    window: FinalWindow, own: Contents, places: Mapping[Item, Place], log: Mapping[Place, Item]
) -> Iterable[WindowFault]:
    closed = f"(closed by {window.closed_by}, revision {window.revision})"
    for modality in MODALITIES:
        wanted, found = own.get(modality, ()), window.found[modality]
        ordered = sorted((places[item] for item in wanted), key=lambda place: place.offset)
        ends = (ordered[0], ordered[-1]) if ordered else (None, None)
        if found.items < len(wanted):
            what = f"{found.items} of {len(wanted)} {modality} items {closed}; sent at {_times(wanted)}"
            yield WindowFault("hollow", window.stream, window.start_ns, what)
        elif found.items > len(wanted):
            what = f"{found.items} {modality} items, and {len(wanted)} were sent {closed}"
            yield WindowFault("wrong", window.stream, window.start_ns, what)
        elif (found.first, found.last) != ends:
            others = [log[place] for place in (found.first, found.last) if place is not None and place in log]
            what = f"{modality} items of other times {closed}: from {_times(others)}; sent at {_times(wanted)}"
            yield WindowFault("wrong", window.stream, window.start_ns, what)
    cues = {(item.start_ns, item.end_ns) for item in own.get("subtitles", ())}
    if window.found["subtitles"].items == len(own.get("subtitles", ())) and window.words != cues:
        yield WindowFault("wrong", window.stream, window.start_ns, f"words of other times than those sent {closed}")


def _numbers(own: Contents) -> str:
    return ", ".join(f"{len(items)} {modality}" for modality, items in own.items())


def _times(items: Sequence[Item]) -> str:
    shown = ", ".join(f"{item.modality} {_clock(item.start_ns)}" for item in items[:_SHOWN])
    return f"{shown}, …" if len(items) > _SHOWN else shown


def _clock(time_ns: int) -> str:
    """Return the time of day, to the millisecond."""
    seconds, rest_ns = divmod(time_ns, _NS_PER_S)
    minutes, second = divmod(seconds % 86_400, 60)
    return f"{minutes // 60:02}:{minutes % 60:02}:{second:02}.{rest_ns // 1_000_000:03}"
