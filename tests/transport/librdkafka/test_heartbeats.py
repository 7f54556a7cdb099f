"""A heartbeat counts from before it was sent, and only when its answer has been acted upon."""

from __future__ import annotations

import json
from typing import Any

from triptych.transport.librdkafka.heartbeats import COORDINATOR, HeartbeatWatch

START_S = 1_000.0


def report(at_s: float, heartbeats: int, *, unanswered: int = 0, unsent: int = 0) -> str:
    """Return the statistics of the client, as far as they are read."""
    coordinator: dict[str, Any] = {"req": {"Heartbeat": heartbeats}, "waitresp_cnt": unanswered, "outbuf_cnt": unsent}
    return json.dumps({"ts": round(at_s * 1e6), "brokers": {COORDINATOR: coordinator, "other": {}}})


def watched(*reports: tuple[float, int, int]) -> float:
    """Return what is confirmed after reports of a time, a number of heartbeats and of unanswered requests."""
    watch = HeartbeatWatch()
    for at_s, heartbeats, unanswered in reports:
        watch.on_statistics(report(START_S + at_s, heartbeats, unanswered=unanswered), START_S + at_s)
    return watch.confirmed_s - START_S


def test_nothing_is_confirmed_before_a_heartbeat() -> None:
    """Also with many reports."""
    assert watched((0, 0, 0), (1, 0, 0), (2, 0, 0)) == float("-inf")


def test_a_heartbeat_counts_from_the_report_before_it() -> None:
    """It was sent after the report at 1 s, answered by the one at 2 s, and acted upon by the one at 3 s."""
    assert watched((0, 0, 0), (1, 0, 0), (2, 1, 0)) == float("-inf")
    assert watched((0, 0, 0), (1, 0, 0), (2, 1, 0), (3, 1, 0)) == 1


def test_an_unanswered_heartbeat_is_not_confirmed() -> None:
    """However many reports come. When it is answered, it still counts from when it was sent at the earliest."""
    waiting = [(0.0, 0, 0), (1.0, 1, 1), (2.0, 1, 1), (3.0, 1, 1)]

    assert watched(*waiting) == float("-inf")
    assert watched(*waiting, (9.0, 1, 0), (10.0, 1, 0)) == 0


def test_a_request_that_waits_to_be_sent_is_unanswered() -> None:
    """The connection may be gone."""
    watch = HeartbeatWatch()
    for at_s in (0.0, 1.0, 2.0, 3.0):
        watch.on_statistics(report(at_s, heartbeats=int(at_s > 0), unsent=1), at_s)

    assert watch.confirmed_s == float("-inf")


def test_a_report_that_is_read_late_confirms_no_more() -> None:
    """The process was suspended for a minute with the last two reports in the queue."""
    watch = HeartbeatWatch()
    for at_s, read_s, heartbeats in ((0.0, 0.0, 0), (1.0, 1.0, 0), (2.0, 62.0, 1), (3.0, 62.0, 1)):
        watch.on_statistics(report(at_s, heartbeats), read_s)

    assert watch.confirmed_s == 1


def test_the_clock_of_the_client_may_start_elsewhere() -> None:
    """Its offset is that of the report that was read soonest."""
    watch = HeartbeatWatch()
    for at_s, read_s, heartbeats in ((0.0, 500.2, 0), (1.0, 501.0, 0), (2.0, 502.3, 1), (3.0, 503.1, 1)):
        watch.on_statistics(report(at_s, heartbeats), read_s)

    assert watch.confirmed_s == 501.0
