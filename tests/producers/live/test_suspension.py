"""A live feed whose program was suspended."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import pairwise

import pytest
from structlog.testing import capture_logs

from tests.producers.live.conftest import Playing
from triptych.producers import run
from triptych.producers.clock import SystemClock
from triptych.producers.status.losses import TrackLoss

S = 1_000_000_000


class JumpingClock(SystemClock):
    """A clock that jumps when the test says so, as it does for a program that was suspended."""

    offset_ns = 0

    def monotonic_ns(self) -> int:
        """Return the monotonic clock, plus the jumps."""
        return super().monotonic_ns() + self.offset_ns


def test_a_live_feed_is_opened_again_after_a_suspension(
    watch: Callable[..., Playing], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it had not read is past; it goes on at the present. The gap is counted with its cause."""
    clock = JumpingClock()
    monkeypatch.setattr(run, "SystemClock", lambda: clock)
    with capture_logs() as logs:
        playing = watch("lavfi://testsrc2=size=160x96:rate=10,realtime")
        playing.wait_for_media(1, 6)
        clock.offset_ns += 30 * S
        playing.wait_for_media(2, 6)
        playing.stop.set()
        playing.wait_until_over()

    assert [entry["event"] for entry in logs].count("producer_suspended") == 1
    (reason,) = (entry["reason"] for entry in logs if entry["event"] == "source_lost")
    assert re.fullmatch(r"this program was suspended for 3[0-4]\.\d s", reason)
    status = playing.outcomes[0].status
    assert (status.sessions, status.gaps, status.dropped) == (2, 1, 0)
    assert status.track_losses == {("video", "suspended"): TrackLoss(0, 1)}
    assert status.suspended_ns == pytest.approx(
        32 * S, abs=3 * S
    )  # a busy program may not look at the clock for a while
    for before, after in pairwise(playing.sessions().values()):
        assert max(record.watermark_ns for record in before) <= min(record.start_ns for record in after)
