"""A span as a value, as it was asked for, and as it is kept: in the note of the group's own commits. Pure.

What a reprocessing has begun with must outlive it, since `-2h` means another moment at each start, and a restart has to
go on with the same. It stands where its progress stands, so the two cannot come apart, and a group that has it is known
to be no live pipeline's.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from triptych.schemas.errors import UsageError
from triptych.units import NS_PER_MS, NS_PER_S
from triptych.worker.reprocessing.times import SpanTime

_MARK: Final = "triptych-span"
_VERSION: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """The settings that make results what they are, as far as they are easily changed by mistake."""

    window_ns: int
    hop_ns: int
    model: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeRange:
    """What to publish: all that was decided at arrival times of `[from_ns, until_ns)`.

    Reading begins `lead_ns` before. `done` is said of a partition number that was read and published to its end.
    """

    from_ns: int
    until_ns: int
    lead_ns: int
    judge: Judge
    done: bool = False

    @property
    def read_from_ns(self) -> int:
        """The arrival time from which records are read."""
        return max(0, self.from_ns - self.lead_ns)

    def to_note(self) -> str:
        """Return the note of a commit."""
        judge = [self.judge.window_ns, self.judge.hop_ns, self.judge.model]
        return json.dumps(
            {_MARK: _VERSION, "span": [self.from_ns, self.until_ns, self.lead_ns], "judge": judge, "done": self.done},
            separators=(",", ":"),
        )

    @classmethod
    def from_note(cls, note: str) -> TimeRange | None:
        """Return the span that a note tells of; None where it is no note of ours."""
        if not note.startswith(f'{{"{_MARK}":'):
            return None
        try:
            document = json.loads(note)
            (from_ns, until_ns, lead_ns), (window_ns, hop_ns, model) = document["span"], document["judge"]
            judge = Judge(window_ns=int(window_ns), hop_ns=int(hop_ns), model=str(model))
            done = bool(document["done"])
            return cls(from_ns=int(from_ns), until_ns=int(until_ns), lead_ns=int(lead_ns), judge=judge, done=done)
        except (ValueError, KeyError, TypeError) as error:
            raise UsageError(
                f"the group's note of a span cannot be read ({error!r}): another version wrote it"
            ) from error

    def finished(self) -> TimeRange:
        """Return the same, done."""
        return replace(self, done=True)

    def __str__(self) -> str:
        """Say it for people."""
        return f"{moment_text(self.from_ns)} to {moment_text(self.until_ns)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SpanRequest:
    """What the user asked for. `partial`: go on though retention has taken the beginning."""

    since: SpanTime
    until: SpanTime | None = None
    lead_ns: int | None = None
    partial: bool = False


def span_of(request: SpanRequest, judge: Judge, *, now_ns: int, margin_ns: int, default_lead_ns: int) -> TimeRange:
    """Return the span that a request means now; raise `UsageError` where it is none.

    Without an end it is `margin_ns` ago: by the broker's clock too, nothing more arrives before it.
    """
    latest_ns = now_ns - margin_ns
    from_ns = _whole_ms(request.since.at(now_ns))
    until_ns = _whole_ms(latest_ns if request.until is None else request.until.at(now_ns))
    if until_ns > latest_ns:
        raise UsageError(
            f"--until: expected a time that has passed, got {moment_text(until_ns)}; leave it away to take all there is"
        )
    if not 0 <= from_ns < until_ns:
        raise UsageError(f"--from: expected a time before {moment_text(until_ns)}, got {moment_text(max(0, from_ns))}")
    lead_ns = default_lead_ns if request.lead_ns is None else request.lead_ns
    return TimeRange(from_ns=from_ns, until_ns=until_ns, lead_ns=lead_ns, judge=judge)


def check_same(pipeline: str, begun: TimeRange, request: SpanRequest, asked: TimeRange) -> None:
    """Raise `UsageError` where a pipeline was begun with another span or judge than is asked for.

    A time before now means another moment at each start, so it agrees with any.
    """
    differing = [
        f"{name}: {was} then, {now} now"
        for name, was, now, is_fixed in (
            ("--from", moment_text(begun.from_ns), moment_text(asked.from_ns), not request.since.before_now),
            (
                "--until",
                moment_text(begun.until_ns),
                moment_text(asked.until_ns),
                request.until is not None and not request.until.before_now,
            ),
            ("--lead", begun.lead_ns // NS_PER_S, asked.lead_ns // NS_PER_S, request.lead_ns is not None),
            ("window.size_ms", begun.judge.window_ns // NS_PER_MS, asked.judge.window_ns // NS_PER_MS, True),
            ("window.hop_ms", begun.judge.hop_ns // NS_PER_MS, asked.judge.hop_ns // NS_PER_MS, True),
            ("model.name", begun.judge.model, asked.judge.model, True),
        )
        if is_fixed and was != now
    ]
    if differing:
        raise UsageError(
            f"pipeline {pipeline} was begun otherwise ({'; '.join(differing)}): "
            "ask for the same to go on, or take another name"
        )


def _whole_ms(at_ns: int) -> int:
    return at_ns // NS_PER_MS * NS_PER_MS  # as append times are


def moment_text(at_ns: int) -> str:
    """Return a moment as people write it, in UTC, to the millisecond where it has any."""
    seconds, rest_ns = divmod(at_ns, NS_PER_S)
    fraction = f".{rest_ns // NS_PER_MS:03d}" if rest_ns else ""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}{fraction}Z"
