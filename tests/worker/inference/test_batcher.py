"""The micro-batcher: when a batch is due, which stream is next, and in which order windows leave."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triptych.schemas.errors import UsageError
from triptych.worker.inference.batcher import MicroBatcher


def batcher(*windows: str, max_windows: int = 3, max_delay_ns: int = 10) -> MicroBatcher[str]:
    """Return a batcher with waiting windows, added one per nanosecond. The first letter is the stream."""
    waiting: MicroBatcher[str] = MicroBatcher(max_windows=max_windows, max_delay_ns=max_delay_ns)
    for now_ns, window in enumerate(windows):
        waiting.add(window[0], window, now_ns)
    return waiting


def test_a_batch_is_due_when_it_is_full() -> None:
    """Two of three windows wait. The third one fills the batch."""
    waiting = batcher("a0", "b0")

    assert waiting.take(2) == []

    waiting.add("c", "c0", 2)

    assert waiting.take(2) == ["a0", "b0", "c0"]
    assert len(waiting) == 0


def test_a_batch_is_due_when_its_oldest_window_has_waited_long_enough() -> None:
    """The batcher returns that time beforehand."""
    waiting = batcher("a0", "b0")

    assert waiting.due_ns() == 10
    assert waiting.take(9) == []
    assert waiting.take(10) == ["a0", "b0"]
    assert waiting.due_ns() is None


def test_a_flush_takes_waiting_windows_one_batch_at_a_time() -> None:
    """In the end no window is left."""
    waiting = batcher("a0", "a1", "a2", "a3")

    assert waiting.take(0, flush=True) == ["a0", "a1", "a2"]
    assert waiting.take(0, flush=True) == ["a3"]
    assert waiting.take(0, flush=True) == []


def test_the_remaining_windows_are_due_by_their_own_age() -> None:
    """Not by that of the windows that were taken."""
    waiting = batcher("a0", "a1", "a2", "a3")
    waiting.take(3)

    assert waiting.due_ns() == 3 + 10


def test_a_long_queue_of_one_stream_delays_no_other() -> None:
    """Streams take turns."""
    waiting = batcher("a0", "a1", "a2", "a3", "b0")

    assert waiting.take(4) == ["a0", "b0", "a1"]
    assert waiting.take(4, flush=True) == ["a2", "a3"]


@pytest.mark.parametrize(("max_windows", "max_delay_ns"), [(0, 1), (-1, 1), (1, -1)])
def test_invalid_limits_are_rejected(max_windows: int, max_delay_ns: int) -> None:
    """The message says what was expected and what was given."""
    with pytest.raises(UsageError, match=rf"got {max_windows} and {max_delay_ns} ns"):
        MicroBatcher(max_windows=max_windows, max_delay_ns=max_delay_ns)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans())), st.integers(1, 5), st.integers(0, 8))
def test_every_window_leaves_once_in_stream_order_and_in_time(
    steps: list[tuple[str, bool]], max_windows: int, max_delay_ns: int
) -> None:
    """For any sequence of additions and batches."""
    waiting: MicroBatcher[tuple[str, int]] = MicroBatcher(max_windows=max_windows, max_delay_ns=max_delay_ns)
    left: list[tuple[str, int]] = []
    for now_ns, (stream, takes) in enumerate(steps):
        waiting.add(stream, (stream, now_ns), now_ns)
        while takes and (batch := waiting.take(now_ns)):
            assert len(batch) <= max_windows
            left += batch
        if takes:
            due_ns = waiting.due_ns()
            assert due_ns is None or due_ns > now_ns
            assert len(waiting) < max_windows
    while batch := waiting.take(len(steps), flush=True):
        left += batch

    assert len(left) == len(steps)
    for stream in "abc":
        times = [now_ns for name, now_ns in left if name == stream]
        assert times == [now_ns for now_ns, (name, _) in enumerate(steps) if name == stream]


@given(st.lists(st.sampled_from("abcd"), min_size=1, max_size=40), st.integers(1, 4))
def test_a_waiting_stream_waits_for_at_most_one_turn_of_each_other(streams: list[str], max_windows: int) -> None:
    """Before the first window of a stream leaves, each other stream has at most one turn."""
    waiting = batcher(*(f"{stream}{index}" for index, stream in enumerate(streams)), max_windows=max_windows)
    left: list[str] = []
    while batch := waiting.take(0, flush=True):
        left += [window[0] for window in batch]

    for stream in set(streams):
        first = left.index(stream)
        assert len(set(left[:first])) == first  # no stream has two turns before it
