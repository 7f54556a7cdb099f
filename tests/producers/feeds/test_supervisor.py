"""Following the changes of a feeds file."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from triptych.producers.feeds import supervisor
from triptych.producers.feeds.supervisor import produce_feeds
from triptych.schemas.codec import decode
from triptych.schemas.names import VIDEO_TOPIC
from triptych.schemas.records import End, InputRecord
from triptych.transport.memory.transport import MemoryTransport
from triptych.transport.records import TopicPartition

Sample = Callable[[str], Path]
LIMIT_S = 60.0


@contextmanager
def following(path: Path, transport: MemoryTransport) -> Iterator[list[Any]]:
    """Play the feeds of the file; yield the log entries."""
    stop = threading.Event()
    thread = threading.Thread(target=produce_feeds, args=(path, transport), kwargs={"stop": stop})
    with capture_logs() as logs:
        thread.start()
        try:
            yield logs
        finally:
            stop.set()
            thread.join(LIMIT_S)
    assert not thread.is_alive()


def wait_until(true: Callable[[], bool]) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + LIMIT_S
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def video_records(transport: MemoryTransport) -> list[InputRecord]:
    """Return the records on the video topic."""
    reader = transport.reader({TopicPartition(VIDEO_TOPIC, number): 0 for number in range(6)})
    records: list[InputRecord] = []
    while found := reader.poll(0).records:
        records += [decode(one.key, one.value, one.headers, modality="video") for one in found]
    return records


def test_a_feed_is_added_changed_and_removed_without_touching_the_others(
    feeds_file: Callable[[str], Path], sample: Sample, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unchanged feed keeps its session, a changed one gets a new session, and an invalid file changes nothing."""
    monkeypatch.setattr(supervisor, "_CHECK_INTERVAL_NS", 0)
    media = sample("bbb_5s_51ch.mp4")
    transport = MemoryTransport()

    def feed(name: str, height: int = 90) -> str:
        return f'[feeds.{name}]\nsource = "{media}"\nloop = 0\nheight = {height}\n'

    def sessions(stream: str) -> set[str]:
        return {record.session for record in video_records(transport) if record.stream == stream}

    def ended(stream: str) -> int:
        return sum(isinstance(record, End) for record in video_records(transport) if record.stream == stream)

    path = feeds_file(feed("stays"))
    with following(path, transport) as logs:
        wait_until(lambda: len(sessions("stays")) == 1)
        path.write_text(feed("stays") + feed("other"))
        wait_until(lambda: len(sessions("other")) == 1)
        path.write_text(feed("stays") + feed("other", height=120))
        wait_until(lambda: len(sessions("other")) == 2)
        path.write_text("[feeds")
        wait_until(lambda: any(log["event"] == "feeds_file_rejected" for log in logs))
        path.write_text(feed("stays"))
        wait_until(lambda: ended("other") == 2)
        assert ended("stays") == 0

    assert len(sessions("stays")) == 1
    assert ended("stays") == 1
    assert [log["stream"] for log in logs if log["event"] == "feed_started"] == ["stays", "other", "other"]


def test_a_feed_that_fails_does_not_end_the_others(
    feeds_file: Callable[[str], Path], sample: Sample, tmp_path: Path
) -> None:
    """The failure is logged once; the feed is started again only when its entry changes."""
    broken = tmp_path / "broken.mkv"
    broken.write_bytes(b"nothing")
    media = sample("bbb_5s_51ch.mp4")
    transport = MemoryTransport()
    path = feeds_file(f'[feeds.broken]\nsource = "{broken}"\n[feeds.film]\nsource = "{media}"\nrealtime = false\n')
    with following(path, transport) as logs:
        wait_until(lambda: any(isinstance(record, End) for record in video_records(transport)))
        wait_until(lambda: any(log["event"] == "feed_failed" for log in logs))

    assert sum(log["event"] == "feed_failed" for log in logs) == 1
