"""The bounded queue between a feed and the broker."""

from __future__ import annotations

import threading

from hypothesis import given
from hypothesis import strategies as st

from tests.producers.live.feed_records import audio_chunk, subtitle_cue, video_frame
from triptych.producers.live.live_queue import LiveQueue
from triptych.schemas.records import InputRecord


def contents(queue: LiveQueue) -> list[str]:
    """Take all queued records; return their ids."""
    queue.close()
    found: list[str] = []
    while not queue.is_over:
        record = queue.take(0)
        assert record is not None
        found.append(record.id)
    return found


def test_a_live_feed_drops_its_oldest_frames_first() -> None:
    """Then its oldest audio; never subtitles or control records."""
    dropped: list[InputRecord] = []
    queue = LiveQueue(dropped.append, max_bytes=4_100)
    for record in (
        video_frame(0),
        audio_chunk(0),
        subtitle_cue(0),
        video_frame(1),
        video_frame(2),
        audio_chunk(1),
        audio_chunk(2),
        audio_chunk(3),
    ):
        queue.put(record, wait=False)

    assert [record.id for record in dropped] == ["v0", "v1", "v2", "a0"]
    assert contents(queue) == ["s0", "a1", "a2", "a3"]


@given(st.lists(st.integers(0, 5_000), max_size=40))
def test_the_size_of_the_queue_is_bounded(sizes: list[int]) -> None:
    """Whatever the sizes of the records."""
    dropped: list[InputRecord] = []
    queue = LiveQueue(dropped.append, max_bytes=8_000)
    for number, size in enumerate(sizes):
        queue.put(video_frame(number, size=max(1, size)), wait=False)

    kept = contents(queue)
    assert len(kept) + len(dropped) == len(sizes)
    assert sum(max(1, sizes[int(one[1:])]) for one in kept) <= 8_000


def test_an_on_demand_source_waits_for_room() -> None:
    """No record is lost."""
    queue = LiveQueue(lambda _: None, max_bytes=3_000)
    putting = threading.Thread(target=lambda: [queue.put(video_frame(number), wait=True) for number in range(20)])
    putting.start()
    taken = [queue.take(5) for _ in range(20)]
    putting.join(5)

    assert [record.id for record in taken if record is not None] == [f"v{number}" for number in range(20)]
