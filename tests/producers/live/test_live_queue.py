"""The queue between the reading and the sending of a feed."""

from __future__ import annotations

import threading

from tests.producers.live.feed_records import video_frame
from triptych.producers.live.live_queue import LiveQueue


def test_an_on_demand_source_waits_for_room() -> None:
    """No record is lost."""
    queue = LiveQueue(ahead_bytes=3_000)
    putting = threading.Thread(target=lambda: [queue.put(video_frame(number), wait=True) for number in range(20)])
    putting.start()
    taken = [queue.take(60) for _ in range(20)]
    putting.join(60)

    assert [record.id for record in taken if record is not None] == [f"v{number}" for number in range(20)]


def test_the_reading_of_a_live_feed_never_waits() -> None:
    """What cannot be sent is kept and dropped elsewhere."""
    queue = LiveQueue(ahead_bytes=3_000)
    for number in range(20):
        queue.put(video_frame(number), wait=False)
    queue.close()

    assert [record.id for _ in range(20) if (record := queue.take(0))] == [f"v{number}" for number in range(20)]
    assert queue.is_over
