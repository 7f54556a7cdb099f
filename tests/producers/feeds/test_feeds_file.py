"""A file of feeds, read and followed."""

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
    """Write the file."""

    def write(content: str) -> Path:
        path = tmp_path / "feeds.toml"
        path.write_text(content)
        return path

    return write


def test_each_feed_has_its_own_settings(listed: Callable[[str], Path], sample: Sample) -> None:
    """What it leaves out is as on the command line, but that it is played as fast as it runs."""
    film = sample("bbb_5s_51ch.mp4")
    plans = read_feeds(
        listed(f"""
        [feeds.door]
        source = "rtsp://user:Geheim@camera/1"
        fps = 0.5
        [feeds.film]
        source = "{film}"
        loop = 0
        height = 180
    """)
    )

    assert list(plans) == ["door", "film"]
    assert isinstance(plans["door"].source, UrlSource)
    assert plans["door"].fps == Fraction(1, 2)
    assert plans["film"].source == FileSource(film)
    assert (plans["film"].stream, plans["film"].loops, plans["film"].height) == ("film", 0, 180)
    assert plans["film"].realtime


@pytest.mark.parametrize(
    ("content", "said"),
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
def test_a_mistake_in_the_file_is_one_line(listed: Callable[[str], Path], content: str, said: str) -> None:
    """It names the file and the feed, and no password."""
    with pytest.raises(UsageError, match=said) as caught:
        read_feeds(listed(content))

    assert "feeds.toml" in str(caught.value)
    assert "rtsp://u" not in str(caught.value)


def test_a_file_that_is_missing_is_said(tmp_path: Path) -> None:
    """Instead of playing nothing."""
    with pytest.raises(UsageError, match="No such file"):
        read_feeds(tmp_path / "feeds.toml")


# --- following --------------------------------------------------------------------------------------------------------


@contextmanager
def following(path: Path, transport: MemoryTransport) -> Iterator[list[Any]]:
    """Play the file's feeds; lend what is logged."""
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
    """Wait until something is true."""
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def pictures(transport: MemoryTransport) -> list[InputRecord]:
    """Return what there is on the topic of pictures."""
    reader = transport.reader({TopicPartition(VIDEO_TOPIC, number): 0 for number in range(6)})
    records: list[InputRecord] = []
    while found := reader.poll(0).records:
        records += [decode(one.key, one.value, one.headers, modality="video") for one in found]
    return records


def test_a_feed_is_added_changed_and_removed_without_touching_the_others(
    listed: Callable[[str], Path], sample: Sample, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that stays keeps its session; one that changes has a new one; a bad file changes nothing."""
    monkeypatch.setattr(supervisor, "_LOOK_EVERY_NS", 0)
    film = sample("bbb_5s_51ch.mp4")
    transport = MemoryTransport()

    def feed(name: str, height: int = 90) -> str:
        return f'[feeds.{name}]\nsource = "{film}"\nloop = 0\nheight = {height}\n'

    def sessions(stream: str) -> set[str]:
        return {record.session for record in pictures(transport) if record.stream == stream}

    def ended(stream: str) -> int:
        return sum(isinstance(record, End) for record in pictures(transport) if record.stream == stream)

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
    """It is said once, and tried again only when the file changes."""
    broken = tmp_path / "broken.mkv"
    broken.write_bytes(b"nothing")
    film = sample("bbb_5s_51ch.mp4")
    transport = MemoryTransport()
    path = listed(f'[feeds.broken]\nsource = "{broken}"\n[feeds.film]\nsource = "{film}"\nrealtime = false\n')
    with following(path, transport) as logs:
        wait_until(lambda: any(isinstance(record, End) for record in pictures(transport)))
        wait_until(lambda: any(log["event"] == "feed_failed" for log in logs))

    assert sum(log["event"] == "feed_failed" for log in logs) == 1
