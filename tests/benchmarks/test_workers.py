"""The parts of `python -m benchmarks.scaling.workers` that need no server."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, cast

from benchmarks.scaling.pauses import Pause
from benchmarks.scaling.workers import (
    HEAD,
    PARTITIONS,
    WorkersReport,
    film,
    owned_partitions,
    process_cpu_s,
    row,
    stream_names,
)
from tests.worker.world import SECOND, Feed
from triptych.schemas.partition import partition_of
from triptych.schemas.records import SubtitleCue, VideoFrame

if TYPE_CHECKING:
    from tests.e2e.programs import Program


def test_each_partition_has_a_stream() -> None:
    """So that every worker has as many."""
    names = stream_names()

    assert [partition_of(name.encode(), PARTITIONS) for name in names] == list(range(PARTITIONS))


def test_a_film_has_a_cue_and_two_pictures_in_each_window() -> None:
    """Each picture says when the next one comes, so that a window closes with its own records."""
    records = film(Feed("feed"), windows=3)
    frames = [record for record in records if isinstance(record, VideoFrame)]

    assert sum(isinstance(record, SubtitleCue) for record in records) == 3
    assert len(frames) == 6
    assert all(frame.next_ns - frame.start_ns == SECOND for frame in frames)


def test_the_partitions_of_a_worker_are_those_of_its_log() -> None:
    """Assigned, less those that were revoked or lost since, in the order of the log."""
    log = {
        "partitions_assigned": [{"numbers": [0, 1, 2], "timestamp": "1"}, {"numbers": [5], "timestamp": "3"}],
        "partitions_revoked": [{"numbers": [0, 1, 2], "timestamp": "2"}],
        "partitions_lost": [],
    }

    class Logged:
        def events(self, name: str) -> list[dict[str, object]]:
            return [{"event": name, **line} for line in log[name]]

    assert owned_partitions(cast("Program", Logged())) == {5}


def test_the_cpu_time_of_a_process_is_read() -> None:
    """That of this one is at least what it uses meanwhile."""
    before_s = process_cpu_s(os.getpid())
    while sum(os.times()[:2]) < before_s + 0.1:
        pass

    assert process_cpu_s(os.getpid()) >= before_s + 0.05


def test_a_row_has_as_many_columns_as_the_head() -> None:
    """With one worker there are no pauses."""
    one = WorkersReport(1, 100, 80.0, 6.0, 3.0, 0.1, None, None)
    two = WorkersReport(2, 100, 160.0, 6.0, 3.0, 0.1, Pause(1.0, 2.0, 3.0), Pause(1.0, 2.0, 9.0))

    for report in (one, two):
        assert row(report).count("|") == HEAD.splitlines()[0].count("|")
    assert "| 160 | 80 |" in row(two)
    assert "1.0, 2.0, 9.0 s" in row(two)
