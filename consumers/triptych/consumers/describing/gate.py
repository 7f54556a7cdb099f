"""Which results are described: by rule, prompt, novelty, duration and rate. No I/O, and event time only.

The state of a stream is rebuilt from results and descriptions that are published: `observe` takes the results before
the first one to decide about, and `DescribedWindows` is filled from the descriptions topic. So a program that was
restarted decides as one that was not.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import defaultdict
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import blake2b
from typing import Final

from triptych.consumers.describing.likeness import LikenessLimits, likeness_of, shows_the_same
from triptych.consumers.rules.rule import Rule
from triptych.schemas.perception.descriptions import Description, WindowLikeness
from triptych.schemas.results import Result

_REMEMBERED_WINDOWS: Final = 256
_DIGEST_BYTES: Final = 12


class SkipReason(StrEnum):
    """Why a result is not described."""

    STORED = "stored"
    """The window has a description already, of this or of an earlier revision."""
    RULE = "rule"
    PROMPT = "prompt"
    NOVELTY = "novelty"
    HOLD = "hold"
    """The conditions have not held for long enough."""
    RATE = "rate"
    """Too soon after the stream's last description."""
    SAME = "same"
    """It shows the same as the last window that was described."""
    BUDGET = "budget"
    """The day's budget is used up."""
    OLD = "old"
    """It was published too long ago."""


@dataclass(frozen=True, slots=True)
class PromptFloor:
    """The least score of a prompt's match."""

    prompt: str
    score: float


@dataclass(frozen=True, slots=True)
class GateConditions:
    """What a result must satisfy. All conditions must hold; of several prompts, one must match.

    Attributes:
        rule: a rule over results.
        prompts: the prompts of which one must match.
        novelty: the least novelty.
        hold_ns: for how long, in event time, the three conditions above must have held without a pause.
        every_ns: the least event time between the starts of two windows of a stream that are described.
        likeness: how alike a window must be to the last one described to be left out; None to leave out none.
    """

    rule: Rule | None = None
    prompts: tuple[PromptFloor, ...] = ()
    novelty: float | None = None
    hold_ns: int = 0
    every_ns: int = 0
    likeness: LikenessLimits | None = field(default_factory=LikenessLimits)

    def unmet(self, result: Result) -> SkipReason | None:
        """Return which condition on a single result is not met, or None."""
        if self.rule is not None and not self.rule.matches(result):
            return SkipReason.RULE
        matches = result.matches or {}
        if self.prompts and not any(
            floor.prompt in matches and matches[floor.prompt].score >= floor.score for floor in self.prompts
        ):
            return SkipReason.PROMPT
        if self.novelty is not None and (result.novelty is None or result.novelty < self.novelty):
            return SkipReason.NOVELTY
        return None


@dataclass(frozen=True, slots=True, order=True)
class _AskedWindow:
    """A window that a model was asked about; `likeness` is None unless it was described."""

    start_ns: int
    window: str
    likeness: WindowLikeness | None


class DescribedWindows:
    """The windows that have a description, and the most recent ones of each stream."""

    def __init__(self) -> None:
        self._stored: set[bytes] = set()
        self._asked: defaultdict[str, list[_AskedWindow]] = defaultdict(list)

    def add(self, description: Description) -> None:
        """Add a description. Windows that were given up may be described later."""
        if description.outcome != "given_up":
            self._stored.add(_digest(description.window))
        likeness = description.likeness if description.outcome == "described" else None
        asked = self._asked[description.stream]
        if all(known.window != description.window for known in asked):
            insort(asked, _AskedWindow(description.start_ns, description.window, likeness), key=_start_ns)
            del asked[:-_REMEMBERED_WINDOWS]

    def has(self, window: str) -> bool:
        """Return whether a window was described, or its answers were refused."""
        return _digest(window) in self._stored

    def last_asked_ns(self, stream: str, before_ns: int) -> int | None:
        """Return the start of the last window before a time that a model was asked about."""
        earlier = self._before(stream, before_ns)
        return earlier[-1].start_ns if earlier else None

    def last_likeness(self, stream: str, before_ns: int) -> WindowLikeness | None:
        """Return the likeness of the last window before a time that was described."""
        return next(
            (known.likeness for known in reversed(self._before(stream, before_ns)) if known.likeness is not None), None
        )

    def _before(self, stream: str, before_ns: int) -> list[_AskedWindow]:
        asked = self._asked.get(stream, [])
        return asked[: bisect_left(asked, before_ns, key=_start_ns)]


@dataclass(slots=True)
class _Run:
    """Consecutive windows of a stream that meet the conditions: since when, and the end of the last one."""

    since_ns: int
    until_ns: int


class DescribeGate:
    """Decides about the results of all streams, in the order of each stream."""

    def __init__(self, conditions: GateConditions, described: DescribedWindows) -> None:
        self._conditions = conditions
        self._described = described
        self._runs: dict[str, _Run] = {}

    def observe(self, result: Result) -> SkipReason | None:
        """Note a result of its stream; return which condition on it alone is not met."""
        unmet = self._conditions.unmet(result)
        if not result.revision:  # a revision belongs to an earlier time
            self._note(result, met=unmet is None)
        return unmet

    def decide(self, result: Result) -> SkipReason | None:
        """Note a result; return why it is not described, or None if it is to be described."""
        unmet = self.observe(result)
        if self._described.has(result.window):
            return SkipReason.STORED
        if unmet is not None:
            return unmet
        if self._held_ns(result) < self._conditions.hold_ns:
            return SkipReason.HOLD
        last_ns = self._described.last_asked_ns(result.stream, result.start_ns)
        if last_ns is not None and result.start_ns - last_ns < self._conditions.every_ns:
            return SkipReason.RATE
        return SkipReason.SAME if self._is_same(result) else None

    def _is_same(self, result: Result) -> bool:
        limits = self._conditions.likeness
        if limits is None:
            return False
        earlier = self._described.last_likeness(result.stream, result.start_ns)
        return earlier is not None and shows_the_same(likeness_of(result), earlier, limits)

    def _note(self, result: Result, *, met: bool) -> None:
        run = self._runs.get(result.stream)
        if not met:
            self._runs.pop(result.stream, None)
        elif run is None or not run.since_ns <= result.start_ns <= run.until_ns:  # windows between them are missing
            self._runs[result.stream] = _Run(result.start_ns, result.end_ns)
        else:
            run.until_ns = max(run.until_ns, result.end_ns)

    def _held_ns(self, result: Result) -> int:
        run = self._runs.get(result.stream)
        return 0 if run is None else result.end_ns - run.since_ns


def _start_ns(asked: _AskedWindow) -> int:
    return asked.start_ns


def _digest(window: str) -> bytes:
    return blake2b(window.encode(), digest_size=_DIGEST_BYTES).digest()
