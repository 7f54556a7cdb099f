"""The feeds file: reading it, and following its changes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from triptych.producers.feeds import supervisor
from triptych.producers.feeds.feeds_file import read_feeds
from triptych.producers.feeds.supervisor import produce_feeds
from triptych.producers.sources.source import FileSource, UrlSource
from triptych.schemas.codec import decode
from triptych.schemas.errors import UsageError
from triptych.schemas.names import VIDEO_TOPIC
from triptych.schemas.records import End, InputRecord
from triptych.transport.memory.transport import MemoryTransport
from triptych.transport.records import TopicPartition

Sample = Callable[[str], Path]


@pytest.fixture
def listed(tmp_path: Path) -> Callable[[str], Path]:
    """Return a function that writes the file."""

    def write(content: str) -> Path:
        path = tmp_path / "feeds.toml"
        path.write_text(content)
        return path

    return write


def test_each_feed_has_its_own_options(listed: Callable[[str], Path], sample: Sample) -> None:
    """Other options have the defaults of the command line, except that a feed is played in real time."""
    media = sample("bbb_5s_51ch.mp4")
    plans = read_feeds(
        listed(f"""
        [feeds.door]
        source = "rtsp://user:Geheim@camera/1"
        fps = 0.5
        [feeds.film]
        source = "{media}"
        loop = 0
        height = 180
    """)
    )

    assert list(plans) == ["door", "film"]
    assert isinstance(plans["door"].source, UrlSource)
    assert plans["door"].fps == Fraction(1, 2)
    assert plans["film"].source == FileSource(media)
    assert (plans["film"].stream, plans["film"].loops, plans["film"].height) == ("film", 0, 180)
    assert plans["film"].realtime


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[feeds", "TOML"),
        ("", r"\[feeds.ID\]"),
        ("feeds = 3", r"\[feeds.ID\]"),
        ("[feeds.a]\nfps = 3", "source"),
        ('[feeds.a]\nsource = "rtsp://u:Geheim@h/1"\nfbs = 3', "fbs"),
        ('[feeds.a]\nsource = "rtsp://u:Geheim@h/1"\nfps = "Geheim no"', "--fps"),
        ('[feeds."a b"]\nsource = "rtsp://u:Geheim@h/1"', "stream id"),
        ('[feeds.a]\nsource = "missing.mkv"', "no such file"),
        ('[feeds.a]\nsource = "rtsp://u:Geheim@h:Geheim/1"', "cannot be read"),
        ('[feeds.a]\nsource = ["rtsp://u:Geheim@h/1"]', "source"),
    ],
)
def test_a_mistake_in_the_file_is_one_line(listed: Callable[[str], Path], content: str, message: str) -> None:
    """It names the file and the feed, and no password."""
    with pytest.raises(UsageError, match=message) as caught:
        read_feeds(listed(content))

    assert "feeds.toml" in str(caught.value)
    assert "rtsp://u" not in str(caught.value)


def test_a_missing_file_is_a_usage_error(tmp_path: Path) -> None:
    """It is not taken for an empty list."""
    with pytest.raises(UsageError, match="No such file"):
        read_feeds(tmp_path / "feeds.toml")


# --- following --------------------------------------------------------------------------------------------------------


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
            thread.join(20)
    assert not thread.is_alive()


def wait_until(true: Callable[[], bool]) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + 30
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
    listed: Callable[[str], Path], sample: Sample, monkeypatch: pytest.MonkeyPatch
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

    path = listed(feed("stays"))
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
    listed: Callable[[str], Path], sample: Sample, tmp_path: Path
) -> None:
    """The failure is logged once; the feed is started again only when its entry changes."""
    broken = tmp_path / "broken.mkv"
    broken.write_bytes(b"nothing")
    media = sample("bbb_5s_51ch.mp4")
    transport = MemoryTransport()
    path = listed(f'[feeds.broken]\nsource = "{broken}"\n[feeds.film]\nsource = "{media}"\nrealtime = false\n')
    with following(path, transport) as logs:
        wait_until(lambda: any(isinstance(record, End) for record in video_records(transport)))
        wait_until(lambda: any(log["event"] == "feed_failed" for log in logs))

    assert sum(log["event"] == "feed_failed" for log in logs) == 1
