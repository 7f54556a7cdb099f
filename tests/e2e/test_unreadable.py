"""A batch damaged on the disk of a real broker: workers name it, count it, and go on with everything else."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from tests.broker_log import damage_batch
from tests.e2e.programs import Installation, Program, by_id, status_response, wait_until
from tests.worker.world import Feed
from tools.devservers.ports import free_ports
from triptych.schemas.names import AUDIO_TOPIC
from triptych.schemas.partition import partition_of
from triptych.transport.records import TopicPartition

if TYPE_CHECKING:
    from tools.devservers import DevKafka

Install = Callable[..., Installation]
PARTITIONS = 6
DAMAGED_AT = 12
"""The offset of the chunk at 6 s. The frame before it waits for it: that arrived later than the last readable chunk."""
CITY, HALL = "city", "hall"
TP = TopicPartition(AUDIO_TOPIC, partition_of(CITY.encode(), PARTITIONS))
STOP = "TRIPTYCH_KAFKA_UNREADABLE_BATCH"


@pytest.fixture
def damaged(install: Install, strict_kafka: DevKafka) -> Installation:
    """Two streams on different partitions, of six windows each; one batch of the first is damaged."""
    assert partition_of(HALL.encode(), PARTITIONS) != TP.partition
    here = install()
    here.send([*Feed(CITY).play(12), *Feed(HALL).play(12)], one_by_one=True)
    damage_batch(strict_kafka, TP, DAMAGED_AT)
    return here


def counts(here: Installation) -> tuple[int, int]:
    """Return how many results the two streams have, none of them twice."""
    streams = [result.stream for result in by_id(here.in_topic()).values()]
    return streams.count(CITY), streams.count(HALL)


def counted(port: int, series: str) -> float:
    """Return the value of a metric."""
    found = re.search(rf"^{re.escape(series)} (\S+)$", status_response(port, "/metrics")[1], re.MULTILINE)
    return float(found[1]) if found else -1.0


def said(worker: Program) -> list[tuple[str, int, int, int, str]]:
    """Return what a worker has logged of unreadable batches."""
    return [
        (line["topic"], line["partition"], line["offset"], line["next_offset"], line["action"])
        for line in worker.events("kafka_batch_unreadable")
    ]


def test_a_worker_skips_a_damaged_batch(damaged: Installation) -> None:
    """All windows are published, one of them without the half second of sound."""
    (port,) = free_ports(1)
    with damaged.running("work", TRIPTYCH_HTTP_PORT=str(port)) as worker:
        wait_until(lambda: counts(damaged) == (6, 6), "all windows")
        assert counted(port, 'triptych_unreadable_batches_total{action="skipped"}') == 1
        assert counted(port, "triptych_unreadable_offsets_total") == 1
        wait_until(lambda: status_response(port, "/readyz")[0] == 200, "all partitions to be restored")
        done = worker.stop().succeeded()

    assert said(worker) == [(*TP, DAMAGED_AT, DAMAGED_AT + 1, "skipped")]
    assert "Traceback" not in done.err
    heard = {r.start_ns: r.modalities.audio.items for r in damaged.in_topic() if r.stream == CITY}
    assert [items for _, items in sorted(heard.items())] == [4, 4, 4, 3, 4, 4]


def test_a_worker_stops_one_partition_at_a_damaged_batch(damaged: Installation) -> None:
    """The other stream goes on; the status says where it stopped; runs to an end exit with 8 until it is skipped."""
    (port,) = free_ports(1)
    with damaged.running("work", TRIPTYCH_HTTP_PORT=str(port), **{STOP: "stop"}) as worker:
        wait_until(lambda: counts(damaged) == (2, 6), "the windows before the batch, and those of the other stream")
        damaged.send(Feed("hall", session="s2", start_ns=Feed("hall").start_ns + 12 * 10**9).play(4), one_by_one=True)
        wait_until(lambda: counts(damaged) == (2, 8), "the other stream to go on")
        status, reason = status_response(port, "/readyz")
        assert status == 503
        assert f"{TP.topic} {TP.partition} stopped at offset {DAMAGED_AT}" in reason
        assert counted(port, 'triptych_unreadable_batches_total{action="stopped"}') == 1
        assert counted(port, "triptych_unreadable_offsets_total") == 0
        worker.stop().succeeded()
    assert said(worker) == [(*TP, DAMAGED_AT, DAMAGED_AT + 1, "partition stopped")]

    ended = damaged.run("work", "--until-end", **{STOP: "stop"})
    assert ended.exit_code == 8, ended.err
    assert f"{TP.topic} {TP.partition}: the batch at offset {DAMAGED_AT} cannot be read" in ended.err
    assert "Traceback" not in ended.err
    assert counts(damaged) == (2, 8)

    damaged.run("work", "--until-end").succeeded()
    assert counts(damaged) == (6, 8)


def test_a_time_range_with_a_damaged_batch_is_not_called_done(damaged: Installation) -> None:
    """With `stop` it exits with 8; the same command with `skip` continues and completes it."""
    again = damaged.other_pipeline(f"{damaged.pipeline}-again")
    ended = again.run("work", "--from", "-1h", "--pipeline", again.pipeline, **{STOP: "stop"})
    assert ended.exit_code == 8, ended.err
    assert counts(again) == (2, 6)

    done = again.run("work", "--from", "-1h", "--pipeline", again.pipeline).succeeded()
    assert ": done" in done.out
    assert counts(again) == (6, 6)
