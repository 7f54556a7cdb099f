"""Check the worker's results for a live feed, while it is played."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise

from tests.producers.live.conftest import Playing
from tests.worker.test_pipeline import contents
from tests.worker.world import SECOND, World
from triptych.schemas.records import InputRecord
from triptych.schemas.results import Result, Sync
from triptych.settings.loading import load
from triptych.transport.topic_settings import TopicSettings
from triptych.transport.topics import create_topics
from triptych.worker.observability.events import LateItemReceived, RecordDropped

_MIN_FRAMES, _MAX_FRAMES = 6, 9
"""Frames in a window of two seconds at four per second. The grid starts anywhere, and the audio may start first."""


@contextmanager
def working(playing: Playing) -> Iterator[World]:
    """Run a worker on what is played. Leaving ends the feed, and waits until the worker has finished it."""
    world = _world(playing, "triptych")
    with world.open() as pipeline:
        over = {"until_end": lambda: bool(playing.outcomes)}
        thread = threading.Thread(target=pipeline.run, args=(threading.Event(),), kwargs=over)
        thread.start()
        try:
            yield world
        finally:
            playing.stop.set()
            playing.wait_until_over()
            thread.join(60)
    assert not thread.is_alive()


def check_windows(world: World, playing: Playing, *, disturbed: int = 0) -> None:
    """Assert that windows within a session are complete, windows outside say so, and nothing is late or duplicated.

    In the first `disturbed` sessions, the source itself may leave something out.
    """
    results = sorted(world.results(), key=lambda result: result.start_ns)
    for before, after in pairwise(results):
        assert after.start_ns == before.end_ns + after.skipped * 2 * SECOND
    assert not world.seen(LateItemReceived)
    assert not world.seen(RecordDropped)
    spans = [_span(records) for records in playing.sessions().values()]
    for begins_ns, ends_ns in spans[disturbed:]:
        inside = [result for result in results if begins_ns <= result.start_ns and result.end_ns <= ends_ns]
        assert inside
        for result in inside:
            _check_complete(result)
    for result in results:
        if all(ends_ns <= result.start_ns or result.end_ns <= begins_ns for begins_ns, ends_ns in spans):
            _check_empty(result)
    assert any(result.sync.offset_ms is not None for result in results)
    assert all(abs(result.sync.offset_ms or 0) < 300 for result in results)

    again = _world(playing, "again")
    again.work()
    assert contents(again.results()) == contents(results)


def empty_windows(world: World) -> int:
    """Return how many windows have neither video nor audio."""
    return sum(result.modalities.video.items == 0 == result.modalities.audio.items for result in world.results())


def _world(playing: Playing, pipeline: str) -> World:
    world = World()
    world.transport = playing.transport
    world.settings = load(overrides={"model.name": "null", "pipeline": pipeline}, environ={})
    create_topics(world.transport.admin(), pipeline, TopicSettings("", max_record_bytes=8 << 20))
    return world


def _span(records: list[InputRecord]) -> tuple[int, int]:
    return min(one.start_ns for one in records), max(one.next_ns or 0 for one in records)


def _check_complete(result: Result) -> None:
    video, audio = result.modalities.video, result.modalities.audio
    assert (video.state, video.gaps, audio.state, audio.gaps) == ("present", 0, "present", 0)
    assert _MIN_FRAMES <= video.items <= _MAX_FRAMES
    assert audio.items >= 3


def _check_empty(result: Result) -> None:
    video, audio = result.modalities.video, result.modalities.audio
    assert (video.items, audio.items) == (0, 0)
    assert video.state in {"held", "empty", "idle"}
    assert audio.state in {"empty", "idle"}
    assert result.sync == Sync()
