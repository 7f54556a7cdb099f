"""Judge the link to the broker by its acknowledgements: how much may be in flight, and what it cannot deliver. Pure.

A slow link shows as a queue that does not become empty. A burst (a segment of HLS) is no slow link, and neither is an
outage: while nothing is acknowledged at all, nothing is thinned, and afterwards the backlog has as much time as the
outage took. All times are of one monotonic clock.
"""

from __future__ import annotations

from typing import Final, Literal

from triptych.units import NS_PER_S

LinkCause = Literal["outage", "slow_link"]

MIN_WINDOW_BYTES: Final = 32 << 10
FIRST_WINDOW_BYTES: Final = 64 << 10
FAST_NS: Final = NS_PER_S // 2
"""Acknowledgements in less time let more be in flight. Longer than any round trip."""

SLOW_NS: Final = NS_PER_S
"""While a record is unacknowledged for so long, the link is busy with what it has."""

TARGET_LAG_NS: Final = 2 * NS_PER_S
"""A link that keeps up has no older record waiting, at least now and then."""

BURST_NS: Final = 10 * NS_PER_S
"""How long older records may wait before the link counts as too slow. As long as the longest usual segment of HLS."""

SOUND_EXTRA_NS: Final = 5 * NS_PER_S
"""How much older sound may be than pictures on a slow link: so pictures go first."""

AWAY_NS: Final = 8 * NS_PER_S
"""A broker that has acknowledged nothing for so long counts as away, unless records are dropped sooner."""


class SendWindow:
    """How many bytes may be in flight: what the link delivers in a second or two, so that priorities count.

    It grows while acknowledgements are fast and more could be sent, and shrinks where they are slow, or less is needed.
    It is never less than one and a half times what the link delivers in a second. So it also grows where each
    acknowledgement takes long but many can be on their way: a distant broker, or a busy computer.

    Attributes:
        delivered_bytes: how much was acknowledged so far.
    """

    def __init__(self, max_bytes: int) -> None:
        """Start with a small window."""
        self._max_bytes = max_bytes
        self._grown_bytes = min(FIRST_WINDOW_BYTES, max_bytes)
        self._second = 0
        self._rates = (0, 0)
        self.delivered_bytes = 0

    @property
    def size_bytes(self) -> int:
        """The current size."""
        return max(self._grown_bytes, min(self._max_bytes, 3 * max(self._rates) // 2))

    def acknowledged(
        self, size_bytes: int, latency_ns: int, now_ns: int, *, delivered_before: int, was_limited: bool
    ) -> None:
        """Record an acknowledgement.

        Args:
            size_bytes: of the record.
            latency_ns: how long it was in flight.
            now_ns: the time.
            delivered_before: `delivered_bytes` when it was handed over. A batch is acknowledged as a whole, so what was
                delivered since then, and not the record alone, tells the speed of the link.
            was_limited: whether more could have been sent since the last acknowledgement.
        """
        self.delivered_bytes += size_bytes
        rate = (self.delivered_bytes - delivered_before) * NS_PER_S // max(latency_ns, NS_PER_S)
        self._observe_rate(rate, now_ns // NS_PER_S)
        if latency_ns < FAST_NS and was_limited:
            self._grown_bytes = min(self._max_bytes, self._grown_bytes + size_bytes)
        elif latency_ns >= SLOW_NS or not was_limited:
            floor_bytes = min(MIN_WINDOW_BYTES, self._max_bytes)
            self._grown_bytes = max(floor_bytes, self._grown_bytes - size_bytes // 2)

    def _observe_rate(self, rate: int, second: int) -> None:
        """Keep the highest rate of this second, and of the one before it."""
        before, current = self._rates
        if second != self._second:
            before, current = (current if second == self._second + 1 else 0), 0
        self._second, self._rates = second, (before, max(current, rate))


class LinkMonitor:
    """Decide whether the broker is away, and how old pictures may be on a link that is too slow.

    Attributes:
        away_since_ns: since when nothing was acknowledged, once the broker counts as away.
        allowed_ns: how old pictures may be; None where the link keeps up, or nothing is known of it.
    """

    def __init__(self, away_ns: int = AWAY_NS) -> None:
        """Start without a judgement.

        Args:
            away_ns: a broker that has acknowledged nothing for so long counts as away.
        """
        self._away_ns = away_ns
        self.away_since_ns: int | None = None
        self.allowed_ns: int | None = None
        self._is_catching_up = False
        self._above_ns = 0
        self._observed_ns: int | None = None
        self._acknowledged_ns = 0
        self._dropped_ns = 0

    @property
    def sound_allowed_ns(self) -> int | None:
        """How old sound may be."""
        return None if self.allowed_ns is None else self.allowed_ns + SOUND_EXTRA_NS

    @property
    def cause(self) -> LinkCause:
        """Why records are dropped now."""
        return "outage" if self.away_since_ns is not None or self._is_catching_up else "slow_link"

    def acknowledged(self, now_ns: int) -> None:
        """Record an acknowledgement."""
        self._acknowledged_ns = now_ns
        if self.away_since_ns is not None:
            self.away_since_ns = None
            self._is_catching_up = True

    def dropped(self, now_ns: int) -> None:
        """Note that something was dropped."""
        self._dropped_ns = now_ns

    def observe(self, now_ns: int, *, oldest_waiting_ns: int | None, oldest_in_flight_ns: int | None) -> None:
        """Update with the state of the queue. Call it several times a second.

        Args:
            now_ns: the time.
            oldest_waiting_ns: when the oldest waiting record came.
            oldest_in_flight_ns: when the oldest unacknowledged record was handed over.
        """
        elapsed_ns = 0 if self._observed_ns is None else now_ns - self._observed_ns
        self._observed_ns = now_ns
        unanswered_ns = self._unanswered_ns(now_ns, oldest_in_flight_ns)
        if unanswered_ns >= self._away_ns and self.away_since_ns is None:
            self.away_since_ns = now_ns - unanswered_ns
        lag_ns = 0 if oldest_waiting_ns is None else now_ns - oldest_waiting_ns
        if self.away_since_ns is not None:
            if self.allowed_ns is not None:
                self.allowed_ns += elapsed_ns
        elif oldest_waiting_ns is None and unanswered_ns >= SLOW_NS:
            return  # nothing is known: what waits, if anything, belongs to tracks that do not answer
        elif lag_ns < TARGET_LAG_NS:
            self._keeps_up(now_ns)
        else:
            self._lags(lag_ns, elapsed_ns)

    def _keeps_up(self, now_ns: int) -> None:
        self._above_ns = 0
        self._is_catching_up = False
        if self.allowed_ns is not None:
            self.allowed_ns = TARGET_LAG_NS if now_ns - self._dropped_ns < BURST_NS else None

    def _lags(self, lag_ns: int, elapsed_ns: int) -> None:
        self._above_ns += elapsed_ns
        if self.allowed_ns is not None:
            self.allowed_ns = max(TARGET_LAG_NS, self.allowed_ns - elapsed_ns)
        elif self._above_ns >= BURST_NS:
            self.allowed_ns = lag_ns

    def _unanswered_ns(self, now_ns: int, oldest_in_flight_ns: int | None) -> int:
        """Return for how long nothing was acknowledged although something was in flight."""
        if oldest_in_flight_ns is None:
            return 0
        return now_ns - max(oldest_in_flight_ns, self._acknowledged_ns)
