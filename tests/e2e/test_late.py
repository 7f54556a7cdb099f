"""Late records on real servers: their windows are revised, also after a kill and after a redrive."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

import pytest
import redis

from tests.e2e.programs import Installation, assert_equal_results, by_id, wait_until
from tests.worker.world import Feed
from triptych.consumers.subscription.subscriber import Subscriber
from triptych.schemas.codec import parse_result
from triptych.schemas.names import redis_latest_key
from triptych.schemas.partition import partition_of
from triptych.schemas.records import VideoFrame

if TYPE_CHECKING:
    from collections.abc import Callable

    from triptych.schemas.results import Result

SETTINGS: Final = {
    "TRIPTYCH_ALIGN_LATE": "revise",
    "TRIPTYCH_ALIGN_REVISE_AFTER_MS": "300",
    "TRIPTYCH_KAFKA_SESSION_TIMEOUT_MS": "6000",
    "TRIPTYCH_WORKER_COMMIT_INTERVAL_MS": "100",
}
LATE_SEQS: Final = (13, 14, 15)
ASTRAY_SEQ: Final = 12
PARTITIONS: Final = 6


def revised(here: Installation, window: str) -> list[Result]:
    """Return the results of a window on the topic, in order of publication."""
    return [result for result in here.in_topic() if result.window == window]


@pytest.mark.timeout(300)
def test_a_window_is_revised_for_late_frames_after_a_kill_and_for_a_redriven_one(
    install: Callable[..., Installation],
) -> None:
    """Each revision is on the topic and in Redis once, and contains everything from the earlier ones."""
    here = install(**SETTINGS)
    film = Feed("city").play(10, ended=False)
    frames = {record.seq: record for record in film if isinstance(record, VideoFrame)}
    late = [frames[seq].model_copy(update={"seq": None}) for seq in LATE_SEQS]
    missing = [frames[seq] for seq in (ASTRAY_SEQ, *LATE_SEQS)]
    here.send([frames[ASTRAY_SEQ]], partition=(partition_of(b"city", PARTITIONS) + 1) % PARTITIONS)
    here.send([record for record in film if record not in missing])

    with here.running("work") as worker:
        wait_until(lambda: here.count_results() == 5, "the windows of the film")
        (first,) = [result for result in here.in_topic() if result.start_ns <= late[0].start_ns < result.end_ns]
        here.send(late[:1])
        wait_until(lambda: here.count_results() == 6, "the first revision")
        worker.kill()
    here.send(late[1:])
    with here.running("work") as worker:
        wait_until(lambda: here.count_results() == 7, "the second revision")
        worker.stop().succeeded()

    assert [(r.revision, r.modalities.video.items) for r in revised(here, first.window)] == [(0, 4), (1, 5), (2, 7)]
    assert [r.revised and r.revised.added.video for r in revised(here, first.window)] == [None, 1, 2]
    assert len({(r.modalities.audio, r.closed_by, r.observations.words) for r in revised(here, first.window)}) == 1
    judged_again = here.other_pipeline(f"{here.pipeline}-again")
    judged_again.run("work", "--until-end").succeeded()
    assert_equal_results(judged_again.in_topic(), here.in_topic())

    assert here.run("dead", "redrive").succeeded().out == "1 redriven\n"
    here.run("work", "--until-end").succeeded()
    repaired = revised(here, first.window)[-1]
    assert (repaired.revision, repaired.modalities.video.items, repaired.modalities.video.gaps) == (3, 8, 0)
    assert here.run("dead", "redrive").succeeded().out == "0 redriven\n"
    check_that_readers_agree(here, first.window)


def check_that_readers_agree(here: Installation, window: str) -> None:
    """Check Redis against the topic, the revisions that subscribers get, and `latest`."""
    published = by_id(here.in_topic())
    assert by_id(here.in_redis()) == published
    with Subscriber.from_redis(here.redis_url, pipeline=here.pipeline) as subscriber:
        everything = list(subscriber.results(until_end=True, revisions="all"))
        newest = list(subscriber.results(until_end=True))
    assert by_id(everything) == published
    assert [result.revision for result in newest if result.window == window] == [3]
    assert len(newest) == 5
    shown = here.run("watch", "--json", "--until-end", "--from", "kafka", "--revisions", "all").succeeded().out
    assert [json.loads(line)["id"] for line in shown.splitlines()] == [result.id for result in here.in_topic()]
    with redis.Redis.from_url(here.redis_url) as client:
        latest = client.get(redis_latest_key(here.pipeline, "city"))
    assert isinstance(latest, bytes)
    assert parse_result(latest).start_ns == max(result.start_ns for result in everything)
