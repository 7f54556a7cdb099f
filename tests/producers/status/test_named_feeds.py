"""The number of series of a producer is bounded, whatever number of feeds it plays."""

from __future__ import annotations

from triptych.producers.status.counters import SourceStatus
from triptych.producers.status.losses import Losses, TrackLoss
from triptych.producers.status.metrics import FeedMetrics
from triptych.producers.status.named_feeds import NamedFeeds


def status(stream: str, sent: int, *, queued_bytes: int = 0) -> SourceStatus:
    """Return the status of a playing feed with some losses."""
    losses = {("video", "outage"): TrackLoss(1, 1)}
    return SourceStatus(
        stream, "playing", sent=sent, queued_bytes=queued_bytes, losses=Losses(late=2), track_losses=losses
    )


def value(metrics: FeedMetrics, name: str, **labels: str) -> float | None:
    """Return one sample."""
    return metrics.registry.get_sample_value(f"triptych_feed_{name}", labels)


def test_feeds_beyond_the_limit_count_together() -> None:
    """Counters and kept bytes are sums, the lag is that of the slowest, and states are numbers of feeds."""
    metrics = FeedMetrics(NamedFeeds(most=1))
    slow = SourceStatus("c", "waiting", sent=5, position_ns=9_000_000_000, acknowledged_ns=2_000_000_000)
    metrics.show([status("a", 1), status("b", 20, queued_bytes=7), slow])

    assert value(metrics, "sent_total", stream="a") == 1
    assert value(metrics, "sent_total", stream="b") is None
    assert value(metrics, "sent_total", stream="others") == 25
    assert value(metrics, "late_total", stream="others") == 2
    assert value(metrics, "dropped_records_total", stream="others", modality="video", cause="outage") == 1
    assert value(metrics, "queued_bytes", stream="others") == 7
    assert value(metrics, "lag_seconds", stream="others") == 7
    assert value(metrics, "state", stream="others", triptych_feed_state="playing") == 1
    assert value(metrics, "state", stream="others", triptych_feed_state="waiting") == 1


def test_feeds_that_the_settings_name_always_have_series_of_their_own() -> None:
    """They do not use up the limit."""
    metrics = FeedMetrics(NamedFeeds(most=1, always={"z"}))
    metrics.show([status("a", 1), status("b", 2), status("z", 3)])

    assert value(metrics, "sent_total", stream="a") == 1
    assert value(metrics, "sent_total", stream="z") == 3
    assert value(metrics, "sent_total", stream="others") == 2


def test_counters_of_the_others_never_fall() -> None:
    """A feed that leaves stays counted, and one that moves in keeps its place while it is played."""
    metrics = FeedMetrics(NamedFeeds(most=1))
    metrics.show([status("a", 1), status("b", 20), status("c", 5)])
    metrics.show([status("c", 6)])
    assert value(metrics, "sent_total", stream="others") == 26
    assert value(metrics, "late_total", stream="others") == 4
    assert value(metrics, "state", stream="others", triptych_feed_state="playing") == 1

    metrics.show([status("c", 7), status("d", 3)])
    assert value(metrics, "sent_total", stream="d") == 3
    assert value(metrics, "sent_total", stream="others") == 27


def test_the_number_of_series_is_bounded() -> None:
    """A thousand feeds have no more series than a few more than the limit."""
    few, many = FeedMetrics(NamedFeeds(most=10)), FeedMetrics(NamedFeeds(most=10))
    few.show([status(f"s{number}", 1) for number in range(11)])
    many.show([status(f"s{number}", 1) for number in range(1_000)])

    def series(metrics: FeedMetrics) -> int:
        return sum(len(family.samples) for family in metrics.collect())

    assert series(many) == series(few)


def test_a_feed_named_others_is_one_of_them() -> None:
    """Two series with the same labels would be an invalid exposition."""
    metrics = FeedMetrics(NamedFeeds(most=5, always={"others"}))
    metrics.show([status("others", 4), status("a", 1)])

    assert value(metrics, "sent_total", stream="others") == 4
