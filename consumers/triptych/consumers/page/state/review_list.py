"""Matches and alerts as events that a person reviews: windows in a row of one feed, grouped by hold and cool-down.

No clock and no I/O: the same results and answers make the same events, with the same ids, in any order of the answers.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from triptych.consumers.alerts.event_tracker import EventLimits, EventTracker
from triptych.consumers.page.api_types import ReviewAnswer, ReviewKind
from triptych.consumers.page.state.seen_window import SeenWindow
from triptych.schemas.perception.prompts import digest
from triptych.schemas.results import Result

_MOST_ANSWERS: Final = 50_000
_MOST_TRACKERS: Final = 256
_MOST_RUNS: Final = 20_000


@dataclass(frozen=True, slots=True)
class ReviewLimits:
    """When a match is an event.

    Attributes:
        score: the least score of a match.
        events: for how long it must hold, and how long after it no other one of the feed and prompt is listed.
        kept: how many events are kept; the oldest are forgotten first.
        runs: how many questions may hold at once, over all feeds; the one that went on longest ago ends first.
    """

    score: float = 0.5
    events: EventLimits = field(default_factory=EventLimits)
    kept: int = 2_000
    runs: int = _MOST_RUNS


@dataclass(slots=True)
class ReviewEntry:
    """One event. `name` is the prompt's name, or the rule. `best` is the window that matches best."""

    id: str
    kind: ReviewKind
    feed: str
    name: str
    first_ns: int
    last_ns: int
    best: SeenWindow
    windows: int = 0
    score: float | None = None
    answer: ReviewAnswer | None = None
    is_over: bool = False

    def covers(self, start_ns: int) -> bool:
        """Return whether a window that starts at a time belongs to the event."""
        return self.first_ns <= start_ns < self.last_ns


@dataclass(slots=True)
class _MatchRun:
    """Windows in a row that match, up to `to_ns`; an event if it has an entry."""

    windows: int
    score: float | None
    best: SeenWindow
    to_ns: int
    entry: ReviewEntry | None = None


_Question = tuple[ReviewKind, str]
_Where = tuple[ReviewKind, str, str]
"""A question, and the feed that is asked."""


class ReviewList:
    """The events of all feeds, oldest first."""

    def __init__(self, limits: ReviewLimits) -> None:
        """Start empty."""
        self._limits = limits
        self._entries: OrderedDict[str, ReviewEntry] = OrderedDict()
        self._of_feed: dict[_Where, list[ReviewEntry]] = {}
        self._trackers: dict[_Question, EventTracker] = {}
        self._runs: OrderedDict[_Where, _MatchRun] = OrderedDict()
        self._running: dict[str, set[_Question]] = {}
        self._answers: OrderedDict[tuple[str, str, int], None] = OrderedDict()
        self._answered: dict[tuple[str, str], dict[int, ReviewAnswer]] = {}
        self.forgotten = 0
        """How many events were forgotten since there were too many."""

    def __len__(self) -> int:
        """Return how many events are kept."""
        return len(self._entries)

    def get(self, event_id: str) -> ReviewEntry | None:
        """Return an event by its id."""
        return self._entries.get(event_id)

    def newest_first(self) -> Iterator[ReviewEntry]:
        """Return the events, those that began last first."""
        return reversed(self._entries.values())

    def add(self, result: Result, window: SeenWindow, rules: Sequence[tuple[str, bool]]) -> list[ReviewEntry]:
        """Take the next result of a feed; return the events that began, went on, or ended with it.

        Args:
            result: the result.
            window: what is kept of it.
            rules: each rule for alerts, and whether the result matches it.
        """
        asked: list[tuple[_Question, float | None, bool]] = [
            (("match", prompt), score, score >= self._limits.score) for prompt, score in window.matches.items()
        ]
        asked += [(("alert", rule), None, holds) for rule, holds in rules]
        changed: list[ReviewEntry] = []
        if result.revision:
            for question, _, _ in asked:
                changed += self._revise(question, result.stream, window)
            return changed
        # What the feed is not asked any more does not hold: its prompt was removed.
        named = {question for question, _, _ in asked}
        asked += [(question, None, False) for question in sorted(self._running.get(result.stream, set()) - named)]
        for question, score, holds in asked:
            if self._has_tracker(question):
                changed += self._step(question, result, window, score if holds else None, holds=holds)
        if result.closed_by == "end":
            changed += self._pause(result.stream, changed)
        return changed

    def forget_feed(self, feed: str) -> list[ReviewEntry]:
        """Let all that holds of a feed end; return the events that ended."""
        return [entry for question in sorted(self._running.get(feed, set())) for entry in self._end((*question, feed))]

    def answer(self, feed: str, prompt: str, start_ns: int, answer: ReviewAnswer) -> list[ReviewEntry]:
        """Take what a person said of a window; return the events that this answers."""
        self._answered.setdefault((feed, prompt), {})[start_ns] = answer
        self._answers[feed, prompt, start_ns] = None
        self._answers.move_to_end((feed, prompt, start_ns))
        if len(self._answers) > _MOST_ANSWERS:
            self._forget_oldest_answer()
        changed = []
        for entry in self._of_feed.get(("match", prompt, feed), ()):
            if entry.covers(start_ns) and entry.answer != answer:
                entry.answer = answer
                changed.append(entry)
        return changed

    def _has_tracker(self, question: _Question) -> bool:
        if question not in self._trackers and len(self._trackers) < _MOST_TRACKERS:
            self._trackers[question] = EventTracker(self._limits.events)
        return question in self._trackers

    def _step(
        self, question: _Question, result: Result, window: SeenWindow, score: float | None, *, holds: bool
    ) -> list[ReviewEntry]:
        since_ns = self._trackers[question].begins(result, matches=holds)
        where = (*question, result.stream)
        run = self._runs.get(where)
        if run is not None and result.end_ns <= run.to_ns:
            return []  # repeated, or from a session in the past
        changed: list[ReviewEntry] = []
        if run is not None and (not holds or result.start_ns > run.to_ns):
            changed += self._end(where)
            run = None
        if not holds:
            return changed
        if run is None:
            run = self._runs[where] = _MatchRun(0, score, window, result.end_ns)
            self._running.setdefault(result.stream, set()).add(question)
            if len(self._runs) > self._limits.runs:
                changed += self._end(next(iter(self._runs)))
        self._runs.move_to_end(where)
        run.windows, run.to_ns = run.windows + 1, result.end_ns
        if (score or 0.0) > (run.score or 0.0):
            run.score, run.best = score, window
        if since_ns is not None and run.entry is None:
            run.entry = self._begin(where, since_ns, run)
        if run.entry is not None:
            self._go_on(run.entry, run, result.start_ns)
            changed.append(run.entry)
        return changed

    def _begin(self, where: _Where, since_ns: int, run: _MatchRun) -> ReviewEntry:
        kind, name, feed = where
        marker = name if kind == "match" else digest(name)
        entry = ReviewEntry(f"{kind}:{marker}:{feed}:{since_ns}", kind, feed, name, since_ns, run.to_ns, run.best)
        self._entries[entry.id] = entry
        self._of_feed.setdefault(where, []).append(entry)
        for start_ns, answer in self._answered.get((feed, name), {}).items():
            if kind == "match" and since_ns <= start_ns < run.to_ns:
                entry.answer = answer
        while len(self._entries) > self._limits.kept:
            self._forget_oldest()
        return entry

    def _go_on(self, entry: ReviewEntry, run: _MatchRun, start_ns: int) -> None:
        entry.last_ns, entry.windows, entry.score, entry.best = run.to_ns, run.windows, run.score, run.best
        entry.is_over = False  # a feed that had ended may go on where it was
        known = self._answered.get((entry.feed, entry.name), {}).get(start_ns)
        if known is not None and entry.kind == "match":
            entry.answer = known

    def _forget_oldest(self) -> None:
        _, oldest = self._entries.popitem(last=False)
        where = (oldest.kind, oldest.name, oldest.feed)
        self._of_feed[where].remove(oldest)
        if not self._of_feed[where]:
            del self._of_feed[where]
        self.forgotten += 1

    def _forget_oldest_answer(self) -> None:
        (feed, prompt, start_ns), _ = self._answers.popitem(last=False)
        answers = self._answered[feed, prompt]
        del answers[start_ns]
        if not answers:
            del self._answered[feed, prompt]

    def _pause(self, feed: str, changed: Sequence[ReviewEntry]) -> list[ReviewEntry]:
        """Say that the events of a feed that has ended are over; return those that are not among the changed ones.

        Their runs stay: a feed that is started again without a gap continues its events, as it does for alerts.
        """
        runs = [self._runs[(*question, feed)] for question in sorted(self._running.get(feed, set()))]
        entries = [run.entry for run in runs if run.entry is not None]
        for entry in entries:
            entry.is_over = True
        return [entry for entry in entries if not any(entry is other for other in changed)]

    def _end(self, where: _Where) -> list[ReviewEntry]:
        kind, name, feed = where
        entry = self._runs.pop(where).entry
        self._running[feed].discard((kind, name))
        if not self._running[feed]:
            del self._running[feed]
        if entry is None or entry.is_over:
            return []
        entry.is_over = True
        return [entry]

    def _revise(self, question: _Question, feed: str, window: SeenWindow) -> list[ReviewEntry]:
        """Replace the best window of an event by its revision. A revision neither begins nor ends an event."""
        where = (*question, feed)
        run = self._runs.get(where)
        if run is not None and run.best.window_id == window.window_id:
            run.best = window
        entries = [entry for entry in self._of_feed.get(where, ()) if entry.best.window_id == window.window_id]
        for entry in entries:
            entry.best = window
        return entries
