"""The memory of a worker: bounded while it catches up, and released when streams end."""

from __future__ import annotations

import gc
import threading
import time
from collections import Counter
from collections.abc import Callable

from tests.worker.world import SECOND, T0, Feed, World
from triptych.schemas.names import MODALITIES, Modality
from triptych.schemas.records import InputRecord
from triptych.settings.loading import load
from triptych.transport.memory.reader import PARTITION_POLL_BYTES
from triptych.worker.observability.events import LateItemReceived, StreamForgotten, WindowClosed
from triptych.worker.pipeline import Pipeline

MIB = 1 << 20
FEEDS = 20
MakeFeed = Callable[..., Feed]


def held_bytes(pipeline: Pipeline) -> int:
    """Return the bytes of encoded media that the worker holds."""
    return sum(each.aligner.held_bytes for each in pipeline._assignment.active)  # noqa: SLF001 - the event comes once a second


def skewed(feed: Feed, seconds: int, image: bytes) -> list[InputRecord]:
    """Return records whose audio is sent 20 s, and whose subtitles are sent 60 s before the frames of the same time."""
    timed: list[tuple[float, InputRecord]] = []
    for second in range(seconds):
        timed += [(second + part / 4, feed.frame(second + part / 4, image)) for part in range(4)]
        timed += [(second - 20 + part / 2, feed.chunk(second + part / 2)) for part in range(2)]
        if second % 2 == 0:
            timed.append((second - 60, feed.cue(second, second + 1, f"words at {second}", second + 2)))
    timed.sort(key=lambda pair: pair[0])
    return [record for _, record in timed] + [feed.end(modality, seconds) for modality in MODALITIES]


def test_a_skewed_backlog_is_read_within_the_bound_and_nothing_is_late(world: World, feed: MakeFeed) -> None:
    """Of thirty megabytes the worker holds no more than the limit of a partition and what one poll returns."""
    bound, poll = 4 * MIB, PARTITION_POLL_BYTES
    overrides = {
        "model.name": "null",
        "batch.max_delay_ms": 0,
        "align.stream_max_bytes": bound,
        "align.partition_max_bytes": bound,
    }
    world.settings = load(overrides=overrides, environ={})
    image = feed("x").frame(0).data.ljust(30_000, b"\0")
    for name in ("city", "port"):
        world.send(skewed(feed(name), 120, image))

    peak = 0
    with world.open() as pipeline:
        deadline = time.monotonic() + 60
        while len(world.store.results("city")) + len(world.store.results("port")) < 120:
            assert time.monotonic() < deadline
            pipeline.step()
            peak = max(peak, held_bytes(pipeline))

    assert MIB < peak <= 2 * (bound + 3 * poll)
    assert world.seen(LateItemReceived) == []
    assert {event.closed_by for event in world.seen(WindowClosed)} <= {"progress", "end"}
    assert all(report.state == "present" for result in world.results() for _, report in result.modalities)


def live_objects() -> Counter[str]:
    """Count the live objects of the worker's classes.

    The store keeps results on purpose. The recent windows of a stream are kept until windows arrive later than twice
    its TTL (`tests/worker/publishing/test_window_memory.py`), so their number depends on when the rounds began.
    """
    gc.unfreeze()  # objects that a worker has frozen at its start are not listed
    gc.collect()
    modules = ((type(each).__module__, type(each).__name__) for each in gc.get_objects())
    return Counter(
        name
        for module, name in modules
        if str(module).startswith("triptych.worker.")
        and not str(module).startswith("triptych.worker.publishing.stores")
        and name not in {"RememberedWindow", "FlaggedView"}  # the latter is what the former has of the quality
    )


def send_new_feeds(world: World, number: int) -> None:
    """Send three windows and the end of feeds with all kinds of tracks, under new stream names."""
    tracks: tuple[tuple[Modality, ...], ...] = (MODALITIES, ("video", "subtitles"), ("audio",), ("subtitles",))
    for at in range(FEEDS):
        own = tracks[at % len(tracks)]
        feed = Feed(f"feed-{number}-{at}", start_ns=T0 + number * 60 * SECOND, tracks=own)
        world.send(record for record in feed.play(6) if record.modality in own)


def test_nothing_is_kept_of_feeds_that_have_ended(world: World) -> None:
    """After every round of new feeds there are as many objects and threads as after the first."""
    world.settings = load(
        overrides={"model.name": "null", "batch.max_delay_ms": 0, "align.stream_ttl_ms": 300}, environ={}
    )
    alive: list[Counter[str]] = []
    threads: list[int] = []
    send_new_feeds(world, 0)  # the first record creates the topics in memory
    with world.open() as pipeline:
        for number in range(4):
            deadline = time.monotonic() + 60
            while len(world.seen(StreamForgotten)) < FEEDS or pipeline._stages.in_flight:  # noqa: SLF001
                assert time.monotonic() < deadline, "streams that ended are not forgotten"
                pipeline.step()
            world.events.clear()
            alive.append(live_objects())
            threads.append(threading.active_count())
            send_new_feeds(world, number + 1)

    assert len(world.results()) == 4 * FEEDS * 3
    assert alive[1] == alive[2] == alive[3]
    assert threads[1:] == threads[:-1]
