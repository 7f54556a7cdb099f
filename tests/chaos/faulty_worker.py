"""`triptych` with one of four injected bugs, to verify that the tests find them.

CHAOS_BUG=skip_the_tail python -m tests.chaos.faulty_worker work
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from typing import Final

VARIABLE: Final = "CHAOS_BUG"


def commit_before_publish() -> None:
    """Commit the offsets of records that were read, whether or not their results are published."""
    from triptych.worker.partitions.offset_tracker import OffsetTracker

    OffsetTracker.committable = OffsetTracker.positions  # type: ignore[method-assign]


def skip_the_tail() -> None:
    """Start a partition without restoring its state from the results topic."""
    from triptych.worker.partitions import restore

    restore._read_result = lambda *_: None  # noqa: SLF001 - the bug


def take_without_asking() -> None:
    """Align records as soon as they arrive, without asking whether earlier ones exist on another partition."""
    from triptych.worker.alignment.merge import Merge, Unread

    def peek(merge: Merge) -> Unread | None:
        first = merge._next  # noqa: SLF001 - the bug
        return None if first is None else first.unread[0]

    Merge.peek = peek  # type: ignore[method-assign]


def idle_by_arrival() -> None:
    """Call a track idle by arrival time alone, also in an outage, and drop what comes later: the rules 6 of old."""
    from triptych.worker.alignment.sessions import SessionTracker
    from triptych.worker.alignment.track import HeardClock

    def hear(clock: HeardClock, arrival_ns: int) -> int:
        clock.heard_ns = clock.last_activity_ns = max(clock.last_activity_ns, arrival_ns)
        return clock.heard_ns

    HeardClock.hear = hear  # type: ignore[method-assign]
    SessionTracker.is_heard_long_enough = lambda *_: True  # type: ignore[assignment, method-assign]
    SessionTracker.quiet_at_ns = lambda *_: None  # type: ignore[assignment, method-assign]
    os.environ["TRIPTYCH_ALIGN_LATE"] = "drop"


BUGS: Final[Mapping[str, Callable[[], None]]] = {
    bug.__name__: bug for bug in (commit_before_publish, skip_the_tail, take_without_asking, idle_by_arrival)
}
RULE_BUGS: Final = frozenset({idle_by_arrival.__name__})
"""Bugs that a replay of the log has too: it judges alike, so only the comparison with what was sent can find them."""


if __name__ == "__main__":
    BUGS[os.environ[VARIABLE]]()
    from triptych.cli import main

    sys.exit(main())
