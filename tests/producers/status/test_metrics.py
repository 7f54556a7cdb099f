"""The metrics and health checks of a producer."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest

from triptych.producers.cli import _monitored
from triptych.producers.status.counters import SourceStatus
from triptych.producers.status.losses import Losses, TrackLoss
from triptych.producers.status.metrics import FeedMetrics, MonitoredDisplay
from triptych.producers.status.progress import ProgressLog
from triptych.settings.loading import load
from triptych.settings.tree import Settings

PAGE = (Path(__file__).parents[3] / "docs" / "producing.md").read_text(encoding="utf-8")
LOST = Losses(late=2, broken=7, misplaced=5, overlap_ns=250_000_000, skipped_segments=6, untranscribed_ns=1_500_000_000)
DOOR = SourceStatus(
    "door", "waiting", sent=40, dropped=3, losses=LOST, sessions=4, reconnects=3, gaps=3, gap_ns=1_500_000_000,
    track_losses={("video", "outage"): TrackLoss(3, 1)}, suspended_ns=12_500_000_000,
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
        ("av_offset_seconds", -0.045), ("drift_ppm", 12.5), ("broken_packets_total", 7), ("misplaced_packets_total", 5),
        ("overlap_seconds_total", 0.25), ("suspended_seconds_total", 12.5),
        ("skipped_segments_total", 6), ("untranscribed_seconds_total", 1.5),
    ],
)  # fmt: skip
def test_each_feed_has_its_own_samples(name: str, expected: float) -> None:
    """A value that was not measured has no sample, rather than zero."""
    metrics = FeedMetrics()
    metrics.show([DOOR, SourceStatus("hall")])
    assert value(metrics, name, stream="door") == expected
    assert value(metrics, name, stream="hall") == (None if name in {"av_offset_seconds", "drift_ppm"} else 0)


def test_losses_of_tracks_have_their_modality_and_cause() -> None:
    """A cause that did not occur has no sample."""
    metrics = FeedMetrics()
    metrics.show([DOOR])
    labels = {"stream": "door", "modality": "video", "cause": "outage"}
    assert (value(metrics, "dropped_records_total", **labels), value(metrics, "track_gaps_total", **labels)) == (3, 1)
    assert value(metrics, "dropped_records_total", **{**labels, "cause": "slow_link"}) is None


def test_a_removed_feed_has_no_series() -> None:
    """So the number of series does not grow with the changes of a feeds file."""
    metrics = FeedMetrics()
    metrics.show([DOOR])
    assert value(metrics, "state", stream="door", triptych_feed_state="waiting") == 1
    assert value(metrics, "state", stream="door", triptych_feed_state="playing") == 0
    metrics.show([])
    assert value(metrics, "sent_total", stream="door") is None
    assert value(metrics, "state", stream="door", triptych_feed_state="waiting") is None


def test_every_metric_is_documented() -> None:
    """Nobody monitors a metric that is unknown."""
    ours = {family.name for family in FeedMetrics().registry.collect() if family.name.startswith("triptych_")}
    assert len(ours) == 21
    assert {name for name in ours if f"`{name}" not in PAGE} == set()


# --- over HTTP --------------------------------------------------------------------------------------------------------


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Return the settings of a producer that serves metrics on a free port, protected by a token."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (tmp_path / "token").write_text("s3cret\n", encoding="utf-8")
    flags = {"produce_http.port": port, "produce_http.token_file": tmp_path / "token"}
    return load(overrides=flags, environ={})


@pytest.fixture
def display(settings: Settings) -> Iterator[MonitoredDisplay]:
    """Return the display of a producer that is monitored."""
    with _monitored(ProgressLog(time.monotonic_ns), settings) as shown:
        assert isinstance(shown, MonitoredDisplay)
        yield shown


def get(settings: Settings, path: str, token: str = "s3cret") -> tuple[int, str]:  # noqa: S107 - the example
    """Send one GET request; return the status and the body."""
    connection = HTTPConnection("127.0.0.1", settings.produce_http.port, timeout=10)
    try:
        connection.request("GET", path, headers={"Authorization": f"Bearer {token}"})
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


def test_a_producer_is_ready_once_a_feed_is_open(settings: Settings, display: MonitoredDisplay) -> None:
    """It is healthy while its loop runs, and serves its metrics."""
    display.show([SourceStatus("door")])
    status, body = get(settings, "/readyz")
    assert (status, json.loads(body)["missing"]) == (503, {"feeds": "no feed was opened yet"})
    display.show([DOOR])
    assert get(settings, "/readyz")[0] == 200
    assert get(settings, "/healthz")[0] == 200
    status, body = get(settings, "/metrics")
    assert status == 200
    assert 'triptych_feed_sent_total{stream="door"} 40.0' in body


def test_a_wrong_token_is_unauthorized(settings: Settings, display: MonitoredDisplay) -> None:
    """The response names the setting."""
    display.show([DOOR])
    status, body = get(settings, "/metrics", token="wrong")  # noqa: S106 - the example
    assert status == 401
    assert "produce_http.token" in body
    assert "door" not in body


def test_no_port_is_opened_by_default() -> None:
    """So several producers can run on one machine."""
    plain = ProgressLog(time.monotonic_ns)
    with _monitored(plain, load(environ={})) as shown:
        assert shown is plain
