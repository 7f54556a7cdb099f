"""What a result says of its session: what the newest of its own records has measured."""

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
    """Return what each window says, in order."""
    ordered = sorted(results, key=lambda result: (result.stream, result.start_ns))
    return [(result.sync.offset_ms, result.sync.drift_ppm) for result in ordered]


def test_a_result_says_what_its_newest_record_has_measured(world: World, feed: MakeFeed) -> None:
    """Newest by event time: a record that says nothing takes nothing away. Null where none says."""
    city = feed("city", session="s1")
    city.tracks = ("video", "audio")
    world.send([carrying(city.frame(0.5), 40, 3), carrying(city.chunk(0), 20), city.frame(1.5)])
    world.send([carrying(city.frame(2), 40, 3), carrying(city.chunk(3), 41), city.frame(4), city.chunk(4)])
    world.send([city.end("video", 6), city.end("audio", 6)])
    world.work()

    assert syncs(world.results()) == [(40, 3), (41, None), (None, None)]
    told = [(event.offset_ms, event.drift_ppm) for event in world.seen(SyncMeasured)]
    assert told == [(40, 3), (41, None)]


def test_the_session_that_begins_in_a_window_speaks_for_it(world: World, feed: MakeFeed) -> None:
    """Both values are its own: what the one before had measured is no more true."""
    before, after = feed("city", session="s1"), feed("city", session="s2")
    before.tracks = after.tracks = ("video",)
    world.send([carrying(before.frame(0.5), 40, 3)])
    world.send([carrying(after.frame(1.25), -15), after.end("video", 2)])
    world.work()

    assert syncs(world.results()) == [(-15, None)]


@pytest.mark.parametrize("first", ["video", "audio"])
def test_at_one_instant_the_picture_speaks(world: World, feed: MakeFeed, first: str) -> None:
    """Whichever of the two arrived first."""
    city = feed("city")
    city.tracks = ("video", "audio")
    records = [carrying(city.frame(0), 1), carrying(city.chunk(0), 2)]
    world.send(records if first == "video" else records[::-1])
    world.send([city.end("video", 1), city.end("audio", 1)])
    world.work()

    assert [result.sync for result in world.results()] == [Sync(offset_ms=1)]
