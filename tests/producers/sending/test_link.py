"""What the acknowledgements say of the link: away, slow, or fast enough."""

from __future__ import annotations

from itertools import pairwise

from triptych.producers.sending.link import MIN_WINDOW_BYTES, TARGET_LAG_NS, LinkMonitor, SendWindow

MS = 1_000_000
S = 1_000 * MS
STEP_NS = 200 * MS
FEED = 100
"""Bytes of pictures per step that the simulated feeds bring."""


class Simulation:
    """Feeds whose pictures are sent over a link of some speed, in order of age."""

    def __init__(self) -> None:
        self.link = LinkMonitor()
        self.now_ns = 0
        self.waiting: list[int] = []
        self.in_flight_ns: int | None = None
        self.dropped: list[int] = []
        self.credit = 0.0
        self.lags: list[int] = []

    def run(self, seconds: float, *, speed: float, burst_s: float = 0.2) -> None:
        """Let the feeds go on over a link of `speed` times what they need; 0 is an outage. Media come in bursts."""
        per_burst = round(burst_s * S / STEP_NS)
        for step in range(round(seconds * S / STEP_NS)):
            self.now_ns += STEP_NS
            if step % per_burst == 0:
                self.waiting += [self.now_ns] * per_burst
            self._send(speed)
            oldest = self.waiting[0] if self.waiting else None
            self.link.observe(self.now_ns, oldest_waiting_ns=oldest, oldest_in_flight_ns=self.in_flight_ns)
            self._thin()
            self.lags.append(self.now_ns - self.waiting[0] if self.waiting else 0)

    def _send(self, speed: float) -> None:
        self.credit = min(self.credit + speed, 1 + speed) if speed else 0.0
        if not speed:
            self.in_flight_ns = self.in_flight_ns or self.now_ns
        while self.credit >= 1 and self.waiting:
            self.credit -= 1
            self.waiting.pop(0)
            self.in_flight_ns = None
            self.link.acknowledged(self.now_ns)

    def _thin(self) -> None:
        allowed_ns = self.link.allowed_ns
        while allowed_ns is not None and self.waiting and self.now_ns - self.waiting[0] > allowed_ns:
            self.dropped.append(self.waiting.pop(0))
            self.link.dropped(self.now_ns)


def test_a_link_of_a_quarter_thins_pictures_evenly_and_stays_near_the_present() -> None:
    """After 10 s it is known to be slow; then the lag falls to 2 s. Nothing more is dropped once it is fast again."""
    feed = Simulation()
    feed.run(30, speed=3)
    feed.run(60, speed=0.25)

    assert feed.link.cause == "slow_link"
    assert max(feed.lags) < 11 * S
    assert max(feed.lags[-150:]) <= TARGET_LAG_NS + STEP_NS
    late = sorted(feed.dropped)[-100:]
    assert max(after - before for before, after in pairwise(late)) <= 2 * STEP_NS
    dropped = len(feed.dropped)
    assert 0.5 * 300 < dropped < 0.75 * 300
    feed.run(30, speed=3)
    assert len(feed.dropped) <= dropped + 1
    assert feed.link.allowed_ns is None
    assert feed.lags[-1] < S


def test_an_outage_thins_nothing_and_its_backlog_is_sent_whole() -> None:
    """Not even after longer than a slow link is judged by, where the link is twice as fast as the feeds or more."""
    feed = Simulation()
    feed.run(30, speed=2.5)
    feed.run(54, speed=0)
    assert feed.link.away_since_ns == feed.in_flight_ns
    feed.run(5, speed=2.5)
    assert (feed.link.away_since_ns, feed.link.cause) == (None, "outage")
    feed.run(60, speed=2.5)
    assert feed.dropped == []
    assert feed.lags[-1] < S
    assert feed.link.cause == "slow_link"


def test_after_an_outage_a_slow_link_returns_to_the_present_in_as_long_a_time() -> None:
    """It cannot bring the backlog, so it is thinned."""
    feed = Simulation()
    feed.run(30, speed=3)
    feed.run(40, speed=0)
    feed.run(60, speed=0.5)
    assert feed.lags[-1] <= TARGET_LAG_NS + STEP_NS
    assert feed.dropped


def test_segments_of_ten_seconds_are_no_slow_link() -> None:
    """A link that is a little faster than the feed brings each before the next one."""
    feed = Simulation()
    feed.run(120, speed=1.15, burst_s=10)
    assert feed.dropped == []
    assert max(feed.lags) > 5 * S


def acknowledge(window: SendWindow, size: int, latency_ns: int, now_ns: int, *, limited: bool = True) -> None:
    """Acknowledge a record that was alone in flight."""
    before = window.delivered_bytes
    window.acknowledged(size, latency_ns, now_ns, delivered_before=before, was_limited=limited)


def test_the_window_grows_while_it_limits_and_acknowledgements_are_fast() -> None:
    """And shrinks else."""
    window = SendWindow(8 << 20)
    for step in range(1_000):
        acknowledge(window, 20_000, 5 * MS, step * MS)
    assert window.size_bytes == 8 << 20
    for step in range(1_000):
        acknowledge(window, 20_000, 5 * MS, 2 * S + step * S, limited=False)
    assert window.size_bytes == MIN_WINDOW_BYTES
    acknowledge(window, 20_000, 700 * MS, 1_010 * S)
    assert window.size_bytes == MIN_WINDOW_BYTES
    acknowledge(window, 20_000, 5 * MS, 1_020 * S)
    acknowledge(window, 20_000, 2 * S, 1_030 * S)
    assert window.size_bytes == MIN_WINDOW_BYTES + 10_000


def test_the_window_is_at_least_one_and_a_half_times_what_the_link_brings_in_a_second() -> None:
    """However long an acknowledgement takes. A batch that is acknowledged as a whole does not make the link fast."""
    window = SendWindow(8 << 20)
    delivered: list[int] = [0]
    for step in range(100):  # 200 kB a second, 600 kB in flight
        before = delivered[max(0, len(delivered) - 30)]
        window.acknowledged(20_000, 3 * S, 100 * S + step * 100 * MS, delivered_before=before, was_limited=True)
        delivered.append(window.delivered_bytes)
    assert window.size_bytes == 300_000

    before = window.delivered_bytes
    for _ in range(60):  # 1.2 MB in 6 s, acknowledged at once
        window.acknowledged(20_000, 6 * S, 120 * S, delivered_before=before, was_limited=True)
    assert window.size_bytes == 300_000
    acknowledge(window, 2_000, 3 * S, 130 * S)
    assert window.size_bytes == MIN_WINDOW_BYTES
