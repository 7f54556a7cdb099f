"""The time range of a reprocessing: as requested, as resolved, and as stored with the group's commits. Pure.

The range has to outlive the worker that resolved it: `-2h` means another time at each start, but a restart must
continue with the first one. It is stored in the metadata of the group's commits, beside the progress, so the two are
always consistent. A group that has this metadata is not the group of a live pipeline.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from triptych.schemas.errors import UsageError
from triptych.units import NS_PER_MS, NS_PER_S
from triptych.worker.reprocessing.times import TimePoint

_VERSION_KEY: Final = "triptych-span"
_VERSION: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultSettings:
    """Settings that determine the results and are easily changed by mistake."""

    window_ns: int
    hop_ns: int
    model: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeRange:
    """The arrival times `[from_ns, until_ns)`: decisions made in it are published.

    Reading begins `lead_ns` earlier. `done` is set in the commits of a partition that is published to its end.
    """

    from_ns: int
    until_ns: int
    lead_ns: int
    result_settings: ResultSettings
    done: bool = False

    @property
    def read_from_ns(self) -> int:
        """The arrival time from which records are read."""
        return max(0, self.from_ns - self.lead_ns)

    def to_metadata(self) -> str:
        """Return the commit metadata that stores this range."""
        settings = self.result_settings
        return json.dumps(
            {
                _VERSION_KEY: _VERSION,
                "span": [self.from_ns, self.until_ns, self.lead_ns],
                "judge": [settings.window_ns, settings.hop_ns, settings.model],
                "done": self.done,
            },
            separators=(",", ":"),
        )

    @classmethod
    def from_metadata(cls, metadata: str) -> TimeRange | None:
        """Return the range that commit metadata stores, or None if the metadata is not ours.

        Raises:
            UsageError: the metadata is ours but cannot be read.
        """
        if not metadata.startswith(f'{{"{_VERSION_KEY}":'):
            return None
        try:
            document = json.loads(metadata)
            (from_ns, until_ns, lead_ns), (window_ns, hop_ns, model) = document["span"], document["judge"]
            settings = ResultSettings(window_ns=int(window_ns), hop_ns=int(hop_ns), model=str(model))
            return cls(
                from_ns=int(from_ns),
                until_ns=int(until_ns),
                lead_ns=int(lead_ns),
                result_settings=settings,
                done=bool(document["done"]),
            )
        except (ValueError, KeyError, TypeError) as error:
            raise UsageError(
                f"the time range in the group's commit metadata cannot be read ({error!r}): another version wrote it; "
                "run that version, or use another pipeline name"
            ) from error

    def as_done(self) -> TimeRange:
        """Return the same range, marked as done."""
        return replace(self, done=True)

    def __str__(self) -> str:
        """Return the bounds as text."""
        return f"{format_time(self.from_ns)} to {format_time(self.until_ns)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeRangeRequest:
    """The time range that the user asks for. With `partial`, it may begin with records that retention has deleted."""

    since: TimePoint
    until: TimePoint | None = None
    lead_ns: int | None = None
    partial: bool = False


def resolve_time_range(
    request: TimeRangeRequest, settings: ResultSettings, *, now_ns: int, margin_ns: int, default_lead_ns: int
) -> TimeRange:
    """Return the range that a request means now.

    Without `until` the range ends `margin_ns` ago, so that no more records arrive in it by the broker's clock either.

    Raises:
        UsageError: the range ends in the future, or before it begins.
    """
    latest_ns = now_ns - margin_ns
    from_ns = _whole_ms(request.since.at(now_ns))
    until_ns = _whole_ms(latest_ns if request.until is None else request.until.at(now_ns))
    if until_ns > latest_ns:
        raise UsageError(
            f"--until: expected a time in the past, got {format_time(until_ns)}; leave it out to read to the end"
        )
    if not 0 <= from_ns < until_ns:
        raise UsageError(f"--from: expected a time before {format_time(until_ns)}, got {format_time(max(0, from_ns))}")
    lead_ns = default_lead_ns if request.lead_ns is None else request.lead_ns
    return TimeRange(from_ns=from_ns, until_ns=until_ns, lead_ns=lead_ns, result_settings=settings)


def check_matches(pipeline: str, stored: TimeRange, request: TimeRangeRequest, resolved: TimeRange) -> None:
    """Check that a request continues the reprocessing that a pipeline has begun.

    A time relative to now matches any stored time.

    Raises:
        UsageError: the pipeline was begun with another time range, other windows or another model.
    """
    differing = [
        f"{name}: {was} then, {now} now"
        for name, was, now, is_fixed in (
            ("--from", format_time(stored.from_ns), format_time(resolved.from_ns), not request.since.before_now),
            (
                "--until",
                format_time(stored.until_ns),
                format_time(resolved.until_ns),
                request.until is not None and not request.until.before_now,
            ),
            ("--lead", stored.lead_ns // NS_PER_S, resolved.lead_ns // NS_PER_S, request.lead_ns is not None),
            *_settings_pairs(stored.result_settings, resolved.result_settings),
        )
        if is_fixed and was != now
    ]
    if differing:
        raise UsageError(
            f"pipeline {pipeline} was begun with other settings ({'; '.join(differing)}): "
            "use the same settings to continue it, or another pipeline name"
        )


def _settings_pairs(was: ResultSettings, now: ResultSettings) -> tuple[tuple[str, object, object, bool], ...]:
    return (
        ("window.size_ms", was.window_ns // NS_PER_MS, now.window_ns // NS_PER_MS, True),
        ("window.hop_ms", was.hop_ns // NS_PER_MS, now.hop_ns // NS_PER_MS, True),
        ("model.name", was.model, now.model, True),
    )


def _whole_ms(at_ns: int) -> int:
    return at_ns // NS_PER_MS * NS_PER_MS  # as the append times of Kafka


def format_time(at_ns: int) -> str:
    """Return a time in UTC as ISO 8601, with milliseconds if it is not a whole second."""
    seconds, rest_ns = divmod(at_ns, NS_PER_S)
    fraction = f".{rest_ns // NS_PER_MS:03d}" if rest_ns else ""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}{fraction}Z"
