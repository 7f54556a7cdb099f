"""The state of the sensors of each feed: whether a rule holds, whether a prompt matches, how many people there are.

No clock, no I/O. All times are event time. A sensor is on when its condition has held for `hold_ns` without a gap, and
off with the first window without it that ends `cool_down_ns` or more after the last window with it. Revisions and
repeated windows change nothing: they come after later windows.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from triptych.consumers.alerts.event_tracker import EventLimits
from triptych.schemas.results import Result
from triptych.units import NS_PER_S

MOST_FEEDS: Final = 10_000
REMOVED_AFTER: Final = 10
REMOVED_AFTER_NS: Final = 600 * NS_PER_S
"""A prompt is gone when this many results in a row, over this time, do not know it, all with other prompts than when it
was last seen.

One result is not enough: a window that has no source for a prompt has no match of it either. Nor are ten, which come in
20 s: a source may be out for longer, and a worker that has just started may have no prompts yet.
"""


@dataclass(slots=True)
class HeldCondition:
    """One sensor that is on or off.

    Attributes:
        on: its state.
        since_ns: since when its condition has held; None if it did not in the last window.
        last_ns: the end of the last window in which it held.
    """

    on: bool = False
    since_ns: int | None = None
    last_ns: int = 0

    def update(self, result: Result, limits: EventLimits, *, holds: bool, gap: bool) -> None:
        """Take the next window. `gap` tells that there is none directly before it."""
        if gap or not holds:
            self.since_ns = None
        if self.on and not holds and result.end_ns - self.last_ns >= limits.cool_down_ns:
            self.on = False
        if not holds:
            return
        if self.since_ns is None:
            self.since_ns = result.start_ns
            # After a long gap the condition has to hold anew.
            self.on = self.on and result.start_ns - self.last_ns <= limits.cool_down_ns
        self.on = self.on or result.end_ns - self.since_ns >= limits.hold_ns
        self.last_ns = result.end_ns


@dataclass(slots=True)
class PromptCondition:
    """The sensor of a prompt.

    Attributes:
        condition: its condition.
        version: the version of the stream's prompts in which it was last seen.
        missing: how many results in a row have not known it, all with other prompts.
        missing_since_ns: the start of the first of these.
    """

    condition: HeldCondition = field(default_factory=HeldCondition)
    version: str | None = None
    missing: int = 0
    missing_since_ns: int = 0

    def is_gone(self, result: Result) -> bool:
        """Take a result that does not know the prompt. Return whether the prompt is gone."""
        if self.version == result.prompts_version:
            self.missing = 0
            return False
        if not self.missing or not self.missing_since_ns:  # a file of an earlier program has no time
            self.missing_since_ns = result.start_ns
        self.missing += 1
        return self.missing >= REMOVED_AFTER and result.end_ns - self.missing_since_ns >= REMOVED_AFTER_NS


@dataclass(slots=True)
class FeedSensors:
    """The sensors of one feed.

    Attributes:
        seen_ns: the end of its last window.
        rule: the sensor of the rule.
        prompts: the sensors of its prompts, by name.
        counts_people: whether it has a sensor for people.
        people: how many people there are at least; None if no picture of the last window was examined.
    """

    seen_ns: int = 0
    rule: HeldCondition = field(default_factory=HeldCondition)
    prompts: dict[str, PromptCondition] = field(default_factory=dict)
    counts_people: bool = False
    people: int | None = None


@dataclass(frozen=True, slots=True)
class SensorOptions:
    """Which sensors a feed has besides that of the rule.

    Attributes:
        prompt_score: the score from which a prompt matches; None: no sensors for prompts.
        people: whether people are counted.
        limits: how long a condition must hold, and how long it must not.
    """

    prompt_score: float | None = None
    people: bool = False
    limits: EventLimits = field(default_factory=EventLimits)


@dataclass(frozen=True, slots=True)
class SensorChange:
    """What a result has changed: prompts that are gone, whether the sensor of people is, and feeds to be forgotten."""

    removed_prompts: tuple[str, ...] = ()
    removed_people: bool = False
    forgotten: Mapping[str, FeedSensors] = field(default_factory=dict)


class SensorTracker:
    """Turns results into the states of sensors. It knows at most `MOST_FEEDS` feeds, those heard last."""

    def __init__(self, options: SensorOptions) -> None:
        self._options = options
        self.feeds: OrderedDict[str, FeedSensors] = OrderedDict()
        """The sensors of each feed, those not heard for longest first."""

    def update(self, result: Result, *, matches: bool) -> SensorChange | None:
        """Take the next result and whether it matches the rule. Return None if it changes nothing."""
        if result.revision:
            return None
        feed = self.feeds.setdefault(result.stream, FeedSensors())
        self.feeds.move_to_end(result.stream)
        if result.end_ns <= feed.seen_ns:
            return None
        gap = result.start_ns > feed.seen_ns
        feed.seen_ns = result.end_ns
        feed.rule.update(result, self._options.limits, holds=matches, gap=gap)
        removed = self._update_prompts(feed, result, gap=gap)
        had_people = feed.counts_people
        feed.counts_people = self._options.people and (had_people or result.counts is not None)
        feed.people = _people(result) if feed.counts_people else None
        forgotten = dict([self.feeds.popitem(last=False)] if len(self.feeds) > MOST_FEEDS else [])
        return SensorChange(removed, had_people and not feed.counts_people, forgotten)

    def _update_prompts(self, feed: FeedSensors, result: Result, *, gap: bool) -> tuple[str, ...]:
        """Update the sensors of prompts; drop those of prompts that are gone, and return their names."""
        lowest = self._options.prompt_score
        if lowest is None:
            removed = tuple(feed.prompts)
            feed.prompts.clear()
            return removed
        found = result.matches or {}
        for name, match in found.items():
            known = feed.prompts.setdefault(name, PromptCondition())
            known.version, known.missing = result.prompts_version, 0
            known.condition.update(result, self._options.limits, holds=match.score >= lowest, gap=gap)
        missing = feed.prompts.keys() - found.keys()
        for name in missing:
            feed.prompts[name].condition.update(result, self._options.limits, holds=False, gap=gap)
        removed = tuple(name for name in sorted(missing) if feed.prompts[name].is_gone(result))
        for name in removed:
            del feed.prompts[name]
        return removed

    def to_document(self) -> dict[str, Any]:
        """Return what is known, for JSON."""
        return {stream: asdict(feed) for stream, feed in self.feeds.items()}

    def restore(self, document: Mapping[str, Any]) -> None:
        """Continue with what `to_document` returned. Raises `ValueError`, `TypeError` or `KeyError` for others."""
        self.feeds = OrderedDict((stream, _feed_from(feed)) for stream, feed in document.items())


def _people(result: Result) -> int | None:
    if result.counts is None:
        return None
    count = result.counts.get("people")
    return 0 if count is None else count.largest


def _feed_from(document: Mapping[str, Any]) -> FeedSensors:
    fields = dict(document)
    fields["rule"] = HeldCondition(**fields["rule"])
    fields["prompts"] = {
        name: PromptCondition(**(prompt | {"condition": HeldCondition(**prompt["condition"])}))
        for name, prompt in fields["prompts"].items()
    }
    return FeedSensors(**fields)
