"""Return of freed memory to the operating system."""

from __future__ import annotations

import subprocess
import sys
from textwrap import dedent

from triptych.worker.observability.events import BytesHeld, StreamForgotten
from triptych.worker.observability.heap import HeapHook

SECOND = 1_000_000_000


def test_the_hook_trims_every_ten_seconds() -> None:
    """Only `BytesHeld` events drive it."""
    now_s = [0]
    trimmed: list[int] = []
    hook = HeapHook(lambda: trimmed.append(now_s[0]), clock_ns=lambda: now_s[0] * SECOND)

    for now_s[0] in range(25):
        hook(StreamForgotten("city"))
        hook(BytesHeld(0, 0))

    assert trimmed == [0, 10, 20]


def test_memory_of_a_burst_is_returned() -> None:
    """All but every fiftieth of the records is freed. The remaining ones keep the end of the heap in place."""
    program = """
        from triptych.worker.observability.events import BytesHeld
        from triptych.worker.observability.heap import HeapHook

        def resident_mb():
            return int(open("/proc/self/statm").read().split()[1]) * 4096 / 1e6

        hook = HeapHook()
        before = resident_mb()
        burst = [bytes([1]) * 40_000 for _ in range(2_500)]
        kept = burst[::50]
        burst = None
        untrimmed = resident_mb() - before
        hook(BytesHeld(0, 0))
        assert resident_mb() - before < 15, (untrimmed, resident_mb() - before)
    """
    subprocess.run([sys.executable, "-c", dedent(program)], check=True, timeout=280)
