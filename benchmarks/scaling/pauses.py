"""How long no result came, from the times at which results were appended to their topic. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from triptych.units import NS_PER_S


@dataclass(frozen=True, slots=True)
class Pause:
    """The longest times without results while something happened, in seconds.

    Attributes:
        all_s: without a result of any stream.
        stream_s: without a result of a stream, the median of the streams.
        worst_stream_s: the same, of the stream that waited longest.
    """

    all_s: float
    stream_s: float
    worst_stream_s: float


def longest_pauses(times_ns: Mapping[str, Sequence[int]], begin_ns: int, end_ns: int) -> Pause:
    """Return the longest pauses that overlap a time span.

    Args:
        times_ns: when the results of each stream came, in any order. A stream without any paused for the whole span.
        begin_ns: begin of the time span.
        end_ns: end of the time span.

    Raises:
        ValueError: there are no streams.
    """
    if not times_ns:
        raise ValueError("times_ns: expected at least one stream, got none")
    of_streams = sorted(_longest_s(times, begin_ns, end_ns) for times in times_ns.values())
    every = [time for times in times_ns.values() for time in times]
    return Pause(_longest_s(every, begin_ns, end_ns), of_streams[len(of_streams) // 2], of_streams[-1])


def throughput(times_ns: Sequence[int]) -> float:
    """Return results a second, without the first and the last tenth: they begin and end unevenly.

    Raises:
        ValueError: there are fewer than ten results, or all came at once.
    """
    ordered = sorted(times_ns)
    first, last = len(ordered) // 10, len(ordered) - 1 - len(ordered) // 10
    if len(ordered) < 10 or ordered[last] == ordered[first]:  # noqa: PLR2004 - tenths of less than ten are nothing
        raise ValueError(f"times_ns: expected ten or more results that did not come at once, got {len(ordered)}")
    return (last - first) * NS_PER_S / (ordered[last] - ordered[first])


def _longest_s(times_ns: Sequence[int], begin_ns: int, end_ns: int) -> float:
    """Return the longest gap that overlaps the span. What lies before and after it limits the first and last gap."""
    before = max((time for time in times_ns if time <= begin_ns), default=begin_ns)
    after = min((time for time in times_ns if time >= end_ns), default=end_ns)
    inside = sorted(time for time in times_ns if begin_ns < time < end_ns)
    edges = [before, *inside, after]
    return max(later - earlier for earlier, later in pairwise(edges)) / NS_PER_S
