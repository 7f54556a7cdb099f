"""`triptych` with one of three mistakes in it, so that it can be seen that they are found.

CHAOS_BUG=skip_the_tail python -m tests.chaos.faulty_worker work
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from typing import Final

VARIABLE: Final = "CHAOS_BUG"


def commit_before_publish() -> None:
    """Commit what was read, whether its windows are published or not."""
    from triptych.worker.partitions.offset_tracker import OffsetTracker

    OffsetTracker.committable = OffsetTracker.positions  # type: ignore[method-assign]


def skip_the_tail() -> None:
    """Begin a partition number as if nothing had ever been published of it."""
    from triptych.transport.protocols import Transport
    from triptych.worker import wiring
    from triptych.worker.partitions.restore import RestorePlan, Tail

    def read_nothing(_: Transport, __: RestorePlan, *, wall_ns: int) -> Tail:  # noqa: ARG001 - read_tail's own
        return Tail()

    wiring.read_tail = read_nothing


def take_without_asking() -> None:
    """Take a record as soon as it is there, without asking whether something comes before it."""
    from triptych.worker.alignment.merge import Merge

    Merge._query_needed_at_ns = lambda *_: None  # type: ignore[assignment, method-assign] # noqa: SLF001 - the bug


BUGS: Final[Mapping[str, Callable[[], None]]] = {
    bug.__name__: bug for bug in (commit_before_publish, skip_the_tail, take_without_asking)
}


if __name__ == "__main__":
    BUGS[os.environ[VARIABLE]]()
    from triptych.cli import main

    sys.exit(main())
