"""When the stages worked on a window."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Literal

Step = Literal["prepare", "infer", "publish", "store"]
STEPS: Final[tuple[Step, ...]] = ("prepare", "infer", "publish", "store")
"""What happens to a window after it has closed, in this order."""


@dataclass(slots=True)
class WindowTimes:
    """The begin and the end of each step, on the monotonic clock, in nanoseconds.

    Each step is noted by the thread that carries it out, and read after the last one.
    """

    closed_ns: int = field(default_factory=time.monotonic_ns)
    prepare: tuple[int, int] | None = None
    infer: tuple[int, int] | None = None
    publish: tuple[int, int] | None = None
    store: tuple[int, int] | None = None

    def intervals(self) -> Iterator[tuple[str, int, int]]:
        """Iterate over what followed the close without a gap: each step that was noted, and before it the wait for it.

        Yields the name (`prepare`, `wait for prepare`), the begin and the end. An interval without a length is left
        out if it is a wait.
        """
        reached_ns = self.closed_ns
        for step in STEPS:
            noted: tuple[int, int] | None = getattr(self, step)
            if noted is None:
                continue
            begin_ns, end_ns = noted
            if begin_ns > reached_ns:
                yield f"wait for {step}", reached_ns, begin_ns
            yield step, begin_ns, end_ns
            reached_ns = end_ns
