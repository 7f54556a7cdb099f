"""The windows of one feed, bounded in number and age: the newest one by one, older ones merged by the minute. No clock.

All times are event time: the age of a window is how far it is behind the newest one.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from typing import Final

from triptych.consumers.page.state.seen_window import SeenWindow, merged, with_earlier_revision
from triptych.units import NS_PER_S

MINUTE_NS: Final = 60 * NS_PER_S
_SLACK: Final = 32
"""How many more windows than the limit are kept before they are merged, so that not every window moves a list."""


class FeedHistory:
    """The windows of one feed in the order of their time."""

    def __init__(self, *, max_age_ns: int) -> None:
        """Start empty. What is older than `max_age_ns` is forgotten."""
        self._max_age_ns = max_age_ns
        self._windows: list[SeenWindow] = []
        self._starts_ns: list[int] = []
        self._minutes: list[SeenWindow] = []

    def __len__(self) -> int:
        """Return how many records are kept."""
        return len(self._windows) + len(self._minutes)

    @property
    def oldest_ns(self) -> int | None:
        """The start of the oldest window; None if there is none."""
        first = self._minutes or self._windows
        return first[0].from_ns if first else None

    @property
    def newest_ns(self) -> int | None:
        """The end of the newest window; None if there is none."""
        return self._windows[-1].to_ns if self._windows else None

    def add(self, window: SeenWindow, *, limit: int) -> None:
        """Add a window, or a revision of one; keep at most about `limit` windows one by one.

        Of an older revision than the known one, only its number is kept.
        """
        at = bisect_left(self._starts_ns, window.start_ns)
        same = at < len(self._windows) and self._windows[at].window_id == window.window_id
        if same:
            if window.revision < self._windows[at].revision:
                with_earlier_revision(self._windows[at], window)
                return
            self._windows[at] = with_earlier_revision(window, self._windows[at])
        else:
            if self._minutes and window.start_ns < self._minutes[-1].to_ns:
                return  # a revision of, or a session at, a time that was merged already
            self._windows.insert(at, window)
            self._starts_ns.insert(at, window.start_ns)
        self.trim(limit)

    def trim(self, limit: int) -> None:
        """Merge the oldest windows by the minute where more than about `limit` are kept one by one."""
        if not self._windows:
            return
        oldest_ns = self._windows[-1].to_ns - self._max_age_ns
        while self._minutes and self._minutes[0].to_ns <= oldest_ns:
            self._minutes.pop(0)
        excess = len(self._windows) - limit
        if excess <= min(_SLACK, limit):
            excess = 0
        excess = max(excess, bisect_left(self._starts_ns, oldest_ns))
        for window in self._windows[:excess]:
            if window.to_ns > oldest_ns:
                self._merge(window)
        del self._windows[:excess], self._starts_ns[:excess]

    def tail(self, count: int) -> Sequence[SeenWindow]:
        """Return the newest windows, oldest first."""
        return self._windows[-count:]

    def find(self, start_ns: int, end_ns: int) -> SeenWindow | None:
        """Return a window by its time; None if it is not kept one by one, unless it stands for its minute."""
        at = bisect_left(self._starts_ns, start_ns)
        while at < len(self._windows) and self._windows[at].start_ns == start_ns:
            if self._windows[at].end_ns == end_ns:
                return self._windows[at]
            at += 1
        return next((one for one in self._minutes if (one.start_ns, one.end_ns) == (start_ns, end_ns)), None)

    def kept(self, start_ns: int, end_ns: int) -> SeenWindow | None:
        """Return what is kept of a window, alone or with others; None if nothing is."""
        return self.find(start_ns, end_ns) or next(iter(self.range(start_ns, end_ns)), None)

    def before(self, start_ns: int) -> Iterable[SeenWindow]:
        """Return the windows that begin before a time, the newest first."""
        return reversed(self._windows[: bisect_left(self._starts_ns, start_ns)])

    def range(self, from_ns: int, to_ns: int) -> list[SeenWindow]:
        """Return the windows that overlap a time, oldest first."""
        old = [one for one in self._minutes if one.to_ns > from_ns and one.from_ns < to_ns]
        begin = bisect_left(self._starts_ns, from_ns)
        while begin and self._windows[begin - 1].to_ns > from_ns:
            begin -= 1
        return old + self._windows[begin : bisect_right(self._starts_ns, to_ns - 1)]

    def _merge(self, window: SeenWindow) -> None:
        last = self._minutes[-1] if self._minutes else None
        if last is not None and last.from_ns // MINUTE_NS == window.from_ns // MINUTE_NS:
            self._minutes[-1] = merged([last, window])
        else:
            self._minutes.append(window)


def downsampled(windows: Sequence[SeenWindow], from_ns: int, to_ns: int, points: int) -> list[SeenWindow]:
    """Return at most about `points` windows for a time: those of each of as many equal intervals merged into one."""
    if len(windows) <= points:
        return list(windows)
    interval_ns = max(1, -(-(to_ns - from_ns) // points))
    groups: dict[int, list[SeenWindow]] = {}
    for window in windows:
        groups.setdefault(max(0, window.from_ns - from_ns) // interval_ns, []).append(window)
    return [merged(group) for _, group in sorted(groups.items())]
