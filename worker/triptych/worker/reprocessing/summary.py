"""The summary of a reprocessing, from its results topic: it covers the results of every worker and every start."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import Final

from triptych.schemas.names import DEFAULT_PIPELINE, results_topic
from triptych.transport.protocols import Transport
from triptych.transport.records import TopicPartition
from triptych.worker.reprocessing.time_range import format_time

_POLL_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class ReprocessingSummary:
    """The number of distinct windows and streams, and the event time `[start_ns, end_ns)` that they cover."""

    windows: int
    streams: int
    start_ns: int
    end_ns: int


def summarise(transport: Transport, pipeline: str, partitions: int) -> ReprocessingSummary:
    """Read the results topic to its end, decoding the headers only. Blocks."""
    tps = [TopicPartition(results_topic(pipeline), partition) for partition in range(partitions)]
    ids: set[bytes] = set()
    streams: set[bytes | None] = set()
    windows: list[tuple[int, int]] = []
    with closing(transport.reader(dict.fromkeys(tps, 0))) as reader:
        end_offsets = reader.end_offsets(tps)
        while any(reader.position(tp) < end for tp, end in end_offsets.items()):
            for record in reader.poll(_POLL_S).records:
                headers = dict(record.headers)
                ids.add(headers["ce_id"])
                streams.add(record.key)
                windows.append((int(headers["ce_startns"]), int(headers["ce_endns"])))
    starts, ends = zip(*windows, strict=True) if windows else ((0,), (0,))
    return ReprocessingSummary(len(ids), len(streams), min(starts), max(ends))


def summary_lines(summary: ReprocessingSummary, pipeline: str, live_pipeline: str) -> list[str]:
    """Return the summary as text, and the command that compares it with `live_pipeline`, the one of the settings."""
    if not summary.windows:
        return [f"{pipeline}: no window was decided in the time range"]
    other = DEFAULT_PIPELINE if live_pipeline == pipeline else live_pipeline
    windows, streams = _count(summary.windows, "window"), _count(summary.streams, "stream")
    covered = f"from {format_time(summary.start_ns)} to {format_time(summary.end_ns)}"
    return [
        f"{pipeline}: {windows} of {streams}, {covered} of event time",
        f"Compare them: triptych diff {other} {pipeline}",
    ]


def _count(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
