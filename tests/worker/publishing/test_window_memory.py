"""What is remembered of recent windows is bounded, by stream and by time."""

from __future__ import annotations

from tests.worker.publishing.test_novelty import TTL_MS, TTL_NS, window
from triptych.worker.publishing.window_memory import WindowMemory


def remembered(memory: WindowMemory[int]) -> int:
    """Return how many windows a memory holds, of all streams."""
    return sum(len(windows) for windows in memory._streams.values())  # noqa: SLF001 - nothing else shows it


def test_a_stream_keeps_its_newest_windows() -> None:
    """The oldest ones make room."""
    memory: WindowMemory[int] = WindowMemory(TTL_NS, windows=3)
    for number in range(5):
        memory.add(window(number, None), number)
    assert [each.value for each in memory.before(window(5, None))] == [2, 3, 4]


def test_streams_that_ended_are_forgotten() -> None:
    """Once a window of another stream has arrived more than twice the TTL later."""
    memory: WindowMemory[int] = WindowMemory(TTL_NS, windows=3)
    for number in range(50):
        memory.add(window(number, None, stream=f"feed-{number}", arrived_ms=number), number)
    assert remembered(memory) == 50
    memory.add(window(50, None, stream="later", arrived_ms=2 * TTL_MS + 2_000), 50)
    assert remembered(memory) == 1


def test_windows_older_than_the_ttl_are_not_compared_with() -> None:
    """The tail that a restart reads may not contain them."""
    memory: WindowMemory[int] = WindowMemory(TTL_NS, windows=3)
    memory.add(window(0, None, arrived_ms=0), 7)
    assert [each.value for each in memory.before(window(1, None, arrived_ms=TTL_MS))] == [7]
    assert memory.before(window(1, None, arrived_ms=TTL_MS + 2_000)) == []
