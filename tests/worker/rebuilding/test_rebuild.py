"""Rebuilding a real Redis: equal to before, key by key, and beside a worker that goes on writing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from typing import Any
from uuid import uuid4

import pytest
from redis import Redis

from triptych.schemas.codec import encode_result
from triptych.schemas.names import (
    redis_index_key,
    redis_latest_key,
    redis_marks_key,
    redis_results_key,
    redis_streams_key,
    result_id,
)
from triptych.schemas.results import Modalities, ModalityReport, ModelReference, Result
from triptych.transport.records import Record
from triptych.worker.publishing.stores.protocol import StoredResult, StoreLimits
from triptych.worker.publishing.stores.redis import RedisStore
from triptych.worker.rebuilding.rebuild import Rebuild, RebuildReport

LIMITS = StoreLimits(max_results=300, latest_ttl_s=600, key_ttl_s=3_600)
WINDOW_NS = 2_000_000_000
ABSENT = ModalityReport(state="absent")


@pytest.fixture(autouse=True)
def _times() -> None:
    """Times count from the beginning of each test: Redis lets keys expire by the clock, and a whole run takes long."""
    now_ns.cache_clear()


@cache
def now_ns() -> int:
    """Return when the test began, in nanoseconds since the epoch."""
    return time.time_ns()


def begins_ns() -> int:
    """Return the start of window 0, in nanoseconds since the epoch: 500 windows before the test."""
    return now_ns() // WINDOW_NS * WINDOW_NS - 500 * WINDOW_NS


def made(number: int, *, stream: str = "city", revision: int = 0, published_ns: int | None = None) -> StoredResult:
    """Return the result of window `number`, by default published when its window ends."""
    start_ns = begins_ns() + number * WINDOW_NS
    end_ns = start_ns + WINDOW_NS
    result = Result(
        id=result_id(stream, start_ns, end_ns, revision),
        stream=stream,
        start_ns=start_ns,
        end_ns=end_ns,
        revision=revision,
        closed_by="progress",
        published_ns=end_ns if published_ns is None else published_ns,
        modalities=Modalities(video=ABSENT, audio=ABSENT, subtitles=ABSENT),
        model=ModelReference(name="null", version="1", sha256="0" * 64),
    )
    return StoredResult(result, encode_result(result, pipeline="city").value)


class Site:
    """A pipeline with a topic of results in a list, and a real Redis."""

    def __init__(self, url: str) -> None:
        self.pipeline = f"rebuild-{uuid4().hex[:8]}"
        self.store = RedisStore.connect(url, pipeline=self.pipeline, limits=LIMITS)
        self.client: Any = Redis.from_url(url)
        self.topic: list[Record] = []

    def publish(self, *results: StoredResult, stored: bool = True) -> None:
        """Publish results as a worker does: to the topic, then to Redis."""
        for each in results:
            wire = encode_result(each.result, pipeline="city")
            place = len(self.topic)
            self.topic.append(
                Record("city.results", 0, place, each.result.published_ns, wire.key, each.document, wire.headers)
            )
        if stored:
            self.store.write(results)

    def flush(self) -> None:
        """Delete all keys of the pipeline."""
        for key in self.client.scan_iter(match=f"{self.pipeline}:*"):
            self.client.delete(key)

    def rebuild(self, stream: str | None = None, records: Callable[[], list[Record]] | None = None) -> RebuildReport:
        """Rebuild from the topic."""
        return Rebuild(self.store, max_results=LIMITS.max_results, stream=stream).run(records or (lambda: self.topic))

    def ids(self, stream: str = "city") -> list[str]:
        """Return the ids of the results in the Redis stream, in order."""
        entries = self.client.xrange(redis_results_key(self.pipeline, stream))
        return [Result.model_validate_json(fields[b"result"]).id for _, fields in entries]

    def content(self, *streams: str) -> dict[str, object]:
        """Return all that the keys of streams hold, except the ids of entries, which are times of writing."""
        found: dict[str, object] = {}
        for stream in streams:
            entries = self.client.xrange(redis_results_key(self.pipeline, stream))
            index = redis_index_key(self.pipeline, stream)
            found |= {
                f"results {stream}": [fields for _, fields in entries],
                index: self.client.zrange(index, 0, -1, withscores=True),
                f"latest {stream}": self.client.get(redis_latest_key(self.pipeline, stream)),
                f"marks {stream}": self.client.hgetall(redis_marks_key(self.pipeline, stream)),
            }
        return found | {"streams": sorted(self.client.zrange(redis_streams_key(self.pipeline), 0, -1))}


@pytest.fixture
def site(redis_url: str) -> Iterator[Site]:
    """A pipeline of its own."""
    opened = Site(redis_url)
    yield opened
    opened.flush()
    opened.store.close()
    opened.client.close()


def test_everything_is_as_before(site: Site) -> None:
    """Two streams, revisions, a duplicate on the topic. A second rebuild does nothing."""
    site.publish(*(made(number) for number in range(200, 450)))
    site.publish(made(440, revision=1), made(449))
    site.publish(*(made(number, stream="door") for number in range(440, 445)))
    before = site.content("city", "door")
    site.flush()
    report = site.rebuild()

    assert site.content("city", "door") == before
    assert (report.read, report.new, report.left_out, report.unreadable) == (257, 256, 0, 0)
    assert report.streams == {"city", "door"}
    assert site.rebuild().new == 0
    assert site.content("city", "door") == before


def test_the_newest_results_are_as_before(site: Site) -> None:
    """Of a topic with more than are kept. A worker that writes the topic's tail again adds none that was left out."""
    site.publish(*(made(number) for number in range(450)))
    before = site.content("city")
    marks = site.client.hgetall(redis_marks_key(site.pipeline, "city"))
    ids = site.ids()[-300:]
    site.flush()
    report = site.rebuild()
    after = site.content("city")

    assert (report.read, report.new, report.left_out) == (450, 300, 150)
    assert site.ids() == ids
    for name in (redis_index_key(site.pipeline, "city"), "latest city", "streams"):
        assert after[name] == before[name]
    assert site.client.hgetall(redis_marks_key(site.pipeline, "city")) == marks | {b"serial": b"300"}
    assert not any(site.store.write([made(number) for number in range(450)]))
    assert site.ids() == ids


def test_one_stream_only(site: Site) -> None:
    """The others stay away."""
    site.publish(made(0), made(0, stream="door"))
    site.flush()
    report = site.rebuild("door")

    assert (report.read, report.new) == (1, 1)
    assert site.ids("city") == []
    assert len(site.ids("door")) == 1


def test_a_worker_that_goes_on_writing_is_not_disturbed(site: Site) -> None:
    """What it writes meanwhile stays the latest, nothing is there twice, and what is lost is written."""
    site.publish(*(made(number) for number in range(200)))
    site.flush()
    site.publish(*(made(number) for number in range(200, 203)))

    def while_the_worker_writes() -> list[Record]:
        read = list(site.topic)
        site.publish(made(len(read)))
        return read

    report = site.rebuild(records=while_the_worker_writes)

    everything = {made(number).result.id for number in range(205)}
    assert len(site.ids()) == len(set(site.ids()))
    assert set(site.ids()) == everything
    assert report.new == 200
    assert report.read == 204
    latest = site.client.get(redis_latest_key(site.pipeline, "city"))
    assert Result.model_validate_json(latest).id == made(204).result.id
    assert site.client.pttl(redis_latest_key(site.pipeline, "city")) > 500_000  # as the worker has set it


def test_newer_results_are_not_dropped_for_older_ones(site: Site) -> None:
    """Redis drops the entries that were written first. So of the old ones only as many come as there is room for."""
    site.publish(*(made(number) for number in range(450)))
    site.flush()
    site.publish(*(made(number) for number in range(450, 460)))
    report = site.rebuild()

    newest = [made(number).result.id for number in range(450, 460)]
    assert site.ids()[:10] == newest
    assert site.ids()[10:] == [made(number).result.id for number in range(160, 450)]
    assert report.left_out == 160


def test_a_gap_is_filled_without_dropping_newer_results(site: Site) -> None:
    """Results from before the gap give way. Those from after it were written first, and stay."""
    site.publish(*(made(number) for number in range(100)))
    site.publish(*(made(number) for number in range(100, 400)), stored=False)
    site.publish(*(made(number) for number in range(400, 450)))
    report = site.rebuild()

    newest = {made(number).result.id for number in range(150, 450)}
    assert newest <= set(site.ids())
    assert {member.decode() for member in site.client.zrange(redis_index_key(site.pipeline, "city"), 0, -1)} == newest
    assert (report.new, report.left_out) == (250, 150)
    assert site.rebuild().new == 0


def test_an_old_backup_of_redis_is_filled_up(site: Site) -> None:
    """What was published since it was made is written behind it, as a worker would have."""
    site.publish(*(made(number) for number in range(320)))
    before = site.ids()
    site.publish(*(made(number) for number in range(320, 330)), stored=False)
    report = site.rebuild()

    assert report.new == 10
    assert site.ids()[-10:] == [made(number).result.id for number in range(320, 330)]
    assert set(site.ids()) <= {*before, *(made(number).result.id for number in range(320, 330))}
    latest = site.client.get(redis_latest_key(site.pipeline, "city"))
    assert Result.model_validate_json(latest).id == made(329).result.id


def test_keys_expire_when_they_would_have_expired(site: Site) -> None:
    """A stream that ended half an hour ago has no latest result any more; one of yesterday has no keys."""
    ended_ns, gone_ns = now_ns() - 1_800 * 10**9, now_ns() - 86_400 * 10**9
    site.publish(made(0, stream="ended", published_ns=ended_ns), made(0, stream="gone", published_ns=gone_ns))
    site.publish(made(0, published_ns=now_ns() - 60 * 10**9))
    site.flush()
    site.rebuild()

    ttl_s = {
        name: site.client.pttl(key(site.pipeline, name)) / 1_000
        for name in ("city", "ended")
        for key in (redis_results_key, redis_index_key, redis_marks_key)
    }
    assert ttl_s["city"] == pytest.approx(3_540, abs=30)
    assert ttl_s["ended"] == pytest.approx(1_800, abs=30)
    assert site.client.pttl(redis_latest_key(site.pipeline, "city")) / 1_000 == pytest.approx(540, abs=30)
    assert site.client.exists(redis_latest_key(site.pipeline, "ended")) == 0
    assert not list(site.client.scan_iter(match=f"{site.pipeline}:*gone*"))
    scores = dict(site.client.zrange(redis_streams_key(site.pipeline), 0, -1, withscores=True))
    assert scores.keys() == {b"city", b"ended"}
    assert scores[b"ended"] == ended_ns // 10**6


def test_keys_expire_after_an_interrupted_rebuild(site: Site) -> None:
    """It ended before its last step. The next one finds everything written, and lets it expire all the same."""
    ended_ns, gone_ns = now_ns() - 1_800 * 10**9, now_ns() - 86_400 * 10**9
    site.publish(made(0, stream="ended", published_ns=ended_ns), made(0, stream="gone", published_ns=gone_ns))
    site.publish(made(0, published_ns=ended_ns), stored=False)
    site.publish(made(1, published_ns=now_ns()))  # by a worker, which goes on
    assert site.rebuild().new == 1

    assert site.client.pttl(redis_results_key(site.pipeline, "ended")) / 1_000 == pytest.approx(1_800, abs=30)
    assert not list(site.client.scan_iter(match=f"{site.pipeline}:*gone*"))
    assert site.client.pttl(redis_results_key(site.pipeline, "city")) / 1_000 == pytest.approx(3_600, abs=30)


def test_what_is_no_result_is_counted(site: Site) -> None:
    """And the rest is written."""
    site.publish(made(0))
    site.topic.insert(0, replace(site.topic[0], value=b"{"))
    site.flush()

    report = site.rebuild()

    assert (report.read, report.new, report.unreadable) == (1, 1, 1)
