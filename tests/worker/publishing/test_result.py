"""The synchronisation measurement in a result (alignment rule 21, docs/alignment.md)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.worker.world import Feed, World
from triptych.schemas.records import InputRecord, MediaRecord
from triptych.schemas.results import Result, Sync
from triptych.worker.observability.events import SyncMeasured

MakeFeed = Callable[..., Feed]


def carrying(record: InputRecord, offset_ms: float | None, drift_ppm: float | None = None) -> InputRecord:
    """Return the record with a measurement."""
    assert isinstance(record, MediaRecord)
    return record.model_copy(update={"av_offset_ms": offset_ms, "drift_ppm": drift_ppm})


def syncs(results: list[Result]) -> list[tuple[float | None, float | None]]:
    """Return the measurements of all results, in window order."""
    ordered = sorted(results, key=lambda result: (result.stream, result.start_ns))
    return [(result.sync.offset_ms, result.sync.drift_ppm) for result in ordered]


def test_a_result_has_the_measurement_of_its_newest_record(world: World, feed: MakeFeed) -> None:
    """Newest by event time, among the records with a measurement. Null if there are none."""
    city = feed("city", session="s1")
    city.tracks = ("video", "audio")
    world.send([carrying(city.frame(0.5), 40, 3), carrying(city.chunk(0), 20), city.frame(1.5)])
    world.send([carrying(city.frame(2), 40, 3), carrying(city.chunk(3), 41), city.frame(4), city.chunk(4)])
    world.send([city.end("video", 6), city.end("audio", 6)])
    world.work()

    assert syncs(world.results()) == [(40, 3), (41, None), (None, None)]
    emitted = [(event.offset_ms, event.drift_ppm) for event in world.seen(SyncMeasured)]
    assert emitted == [(40, 3), (41, None)]


def test_the_newest_session_of_a_window_provides_its_measurement(world: World, feed: MakeFeed) -> None:
    """A value that only the previous session measured is not carried over."""
    before, after = feed("city", session="s1"), feed("city", session="s2")
    before.tracks = after.tracks = ("video",)
    world.send([carrying(before.frame(0.5), 40, 3)])
    world.send([carrying(after.frame(1.25), -15), after.end("video", 2)])
    world.work()

    assert syncs(world.results()) == [(-15, None)]


@pytest.mark.parametrize("first", ["video", "audio"])
def test_at_the_same_time_video_takes_precedence(world: World, feed: MakeFeed, first: str) -> None:
    """In whichever order the records arrive."""
    city = feed("city")
    city.tracks = ("video", "audio")
    records = [carrying(city.frame(0), 1), carrying(city.chunk(0), 2)]
    world.send(records if first == "video" else records[::-1])
    world.send([city.end("video", 1), city.end("audio", 1)])
    world.work()

    assert [result.sync for result in world.results()] == [Sync(offset_ms=1)]
