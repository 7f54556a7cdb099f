"""What a producer tells those who watch it."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest

from triptych.producers.cli import _monitored
from triptych.producers.status.counters import Counters, SourceStatus
from triptych.producers.status.metrics import FeedMetrics, MonitoredDisplay
from triptych.producers.status.progress import ProgressLog
from triptych.schemas.records import VideoFrame
from triptych.settings.loading import load
from triptych.settings.tree import Settings

PAGE = (Path(__file__).parents[3] / "docs" / "producing.md").read_text(encoding="utf-8")
DOOR = SourceStatus(
    "door", "waiting", sent=40, dropped=3, late=2, sessions=4, reconnects=3, gaps=3, gap_ns=1_500_000_000,
    queued_bytes=512, position_ns=9_000_000_000, acknowledged_ns=8_000_000_000, av_offset_ms=-45.0, drift_ppm=12.5,
)  # fmt: skip


def value(metrics: FeedMetrics, name: str, **labels: str) -> float | None:
    """Return one sample."""
    return metrics.registry.get_sample_value(f"triptych_feed_{name}", labels)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("sent_total", 40), ("dropped_total", 3), ("late_total", 2), ("sessions_total", 4), ("reconnects_total", 3),
        ("gaps_total", 3), ("gap_seconds_total", 1.5), ("queued_bytes", 512), ("lag_seconds", 1),
        ("av_offset_seconds", -0.045), ("drift_ppm", 12.5),
    ],
)  # fmt: skip
def test_each_feed_has_its_own_numbers(name: str, expected: float) -> None:
    """By stream; what was not measured has no sample rather than a zero."""
    metrics = FeedMetrics()
    metrics.show([DOOR, SourceStatus("hall")])
    assert value(metrics, name, stream="door") == expected
    assert value(metrics, name, stream="hall") == (None if name in {"av_offset_seconds", "drift_ppm"} else 0)


def test_a_feed_that_is_played_no_more_has_no_series() -> None:
    """So a file of feeds that changes for years does not grow what is served."""
    metrics = FeedMetrics()
    metrics.show([DOOR])
    assert value(metrics, "state", stream="door", triptych_feed_state="waiting") == 1
    assert value(metrics, "state", stream="door", triptych_feed_state="playing") == 0
    metrics.show([])
    assert value(metrics, "sent_total", stream="door") is None
    assert value(metrics, "state", stream="door", triptych_feed_state="waiting") is None


def test_every_metric_is_on_the_page() -> None:
    """A metric that nobody knows of is not watched."""
    ours = {family.name for family in FeedMetrics().registry.collect() if family.name.startswith("triptych_")}
    assert len(ours) == 12
    assert {name for name in ours if f"`{name}" not in PAGE} == set()


def test_a_session_that_begins_has_not_been_measured_yet() -> None:
    """What was measured of the one before is no more true."""
    counters = Counters("door")
    common = {"stream": "door", "source": "rtsp://camera", "id": "1", "start_ns": 0, "data": b"x"}
    counters.observe(VideoFrame(**common, session="a", av_offset_ms=40, drift_ppm=3))
    assert (counters.status.sessions, counters.status.av_offset_ms, counters.status.drift_ppm) == (1, 40, 3)
    counters.observe(VideoFrame(**common, session="b"))
    assert (counters.status.sessions, counters.status.av_offset_ms, counters.status.drift_ppm) == (2, None, None)


# --- over HTTP --------------------------------------------------------------------------------------------------------


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Return the settings of a producer that is watched, on a free port, by those who carry a token."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (tmp_path / "token").write_text("s3cret\n", encoding="utf-8")
    flags = {"produce_http.port": port, "produce_http.token_file": tmp_path / "token"}
    return load(overrides=flags, environ={})


@pytest.fixture
def display(settings: Settings) -> Iterator[MonitoredDisplay]:
    """Return the board of a producer that is watched."""
    with _monitored(ProgressLog(time.monotonic_ns), settings) as shown:
        assert isinstance(shown, MonitoredDisplay)
        yield shown


def ask(settings: Settings, path: str, token: str = "s3cret") -> tuple[int, str]:  # noqa: S107 - the example
    """Send one request."""
    connection = HTTPConnection("127.0.0.1", settings.produce_http.port, timeout=10)
    try:
        connection.request("GET", path, headers={"Authorization": f"Bearer {token}"})
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


def test_a_producer_is_ready_once_a_feed_is_open(settings: Settings, display: MonitoredDisplay) -> None:
    """And alive while its loop goes round; its numbers are served."""
    display.show([SourceStatus("door")])
    status, body = ask(settings, "/readyz")
    assert (status, json.loads(body)["missing"]) == (503, {"feeds": "no feed was opened yet"})
    display.show([DOOR])
    assert ask(settings, "/readyz")[0] == 200
    assert ask(settings, "/healthz")[0] == 200
    status, body = ask(settings, "/metrics")
    assert status == 200
    assert 'triptych_feed_sent_total{stream="door"} 40.0' in body


def test_whoever_carries_no_token_is_told_which_one(settings: Settings, display: MonitoredDisplay) -> None:
    """By the name of its setting."""
    display.show([DOOR])
    status, body = ask(settings, "/metrics", token="wrong")  # noqa: S106 - the example
    assert status == 401
    assert "produce_http.token" in body
    assert "door" not in body


def test_nothing_listens_unless_it_is_asked_for() -> None:
    """Several films may be played at once on one machine."""
    plain = ProgressLog(time.monotonic_ns)
    with _monitored(plain, load(environ={})) as shown:
        assert shown is plain
