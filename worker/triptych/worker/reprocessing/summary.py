"""What a reprocessing has come to, by what lies on its results topic, whoever put it there."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import Final

from triptych.schemas.names import DEFAULT_PIPELINE, results_topic
from triptych.transport.protocols import Transport
from triptych.transport.records import TopicPartition
from triptych.worker.reprocessing.time_range import moment_text

_POLL_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class ReprocessingSummary:
    """Windows by id, streams, and the event time they cover."""

    windows: int
    streams: int
    start_ns: int
    end_ns: int


def summarise(transport: Transport, pipeline: str, partitions: int) -> ReprocessingSummary:
    """Read the results topic to its end, its headers only."""
    tps = [TopicPartition(results_topic(pipeline), number) for number in range(partitions)]
    ids: set[bytes] = set()
    streams: set[bytes | None] = set()
    spans: list[tuple[int, int]] = []
    with closing(transport.reader(dict.fromkeys(tps, 0))) as reader:
        limits = reader.end_offsets(tps)
        while any(reader.position(tp) < end for tp, end in limits.items()):
            for record in reader.poll(_POLL_S).records:
                headers = dict(record.headers)
                ids.add(headers["ce_id"])
                streams.add(record.key)
                spans.append((int(headers["ce_startns"]), int(headers["ce_endns"])))
    starts, ends = zip(*spans, strict=True) if spans else ((0,), (0,))
    return ReprocessingSummary(len(ids), len(streams), min(starts), max(ends))


def summary_lines(summary: ReprocessingSummary, pipeline: str, usual: str) -> list[str]:
    """Say it for people, then what to do next; `usual` is the pipeline that the settings name."""
    if not summary.windows:
        return [f"{pipeline}: no window was decided in the span"]
    other = DEFAULT_PIPELINE if usual == pipeline else usual
    windows, streams = _counted(summary.windows, "window"), _counted(summary.streams, "stream")
    covered = f"from {moment_text(summary.start_ns)} to {moment_text(summary.end_ns)}"
    return [
        f"{pipeline}: {windows} of {streams}, {covered} of event time",
        f"Compare them: triptych diff {other} {pipeline}",
    ]


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
