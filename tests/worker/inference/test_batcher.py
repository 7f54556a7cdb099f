"""The micro-batcher: when a batch is due, whose turn it is, and what order windows leave in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triptych.schemas.errors import UsageError
from triptych.worker.inference.batcher import MicroBatcher


def batcher(*windows: str, max_windows: int = 3, max_delay_ns: int = 10) -> MicroBatcher[str]:
    """Return a batcher in which windows wait, one come each nanosecond; a window's stream is its first letter."""
    waiting: MicroBatcher[str] = MicroBatcher(max_windows=max_windows, max_delay_ns=max_delay_ns)
    for now_ns, window in enumerate(windows):
        waiting.add(window[0], window, now_ns)
    return waiting


def test_a_batch_is_due_when_it_is_full() -> None:
    """Two of three do not go; the third makes it full."""
    waiting = batcher("a0", "b0")

    assert waiting.take(2) == []

    waiting.add("c", "c0", 2)

    assert waiting.take(2) == ["a0", "b0", "c0"]
    assert len(waiting) == 0


def test_a_batch_is_due_when_its_oldest_window_has_waited_long_enough() -> None:
    """And says beforehand when that will be."""
    waiting = batcher("a0", "b0")

    assert waiting.due_ns() == 10
    assert waiting.take(9) == []
    assert waiting.take(10) == ["a0", "b0"]
    assert waiting.due_ns() is None


def test_a_flush_takes_what_waits_a_batch_at_a_time() -> None:
    """At the end nothing is left behind."""
    waiting = batcher("a0", "a1", "a2", "a3")

    assert waiting.take(0, flush=True) == ["a0", "a1", "a2"]
    assert waiting.take(0, flush=True) == ["a3"]
    assert waiting.take(0, flush=True) == []


def test_what_a_full_batch_leaves_behind_is_due_by_its_own_age() -> None:
    """Not by that of the windows which have gone."""
    waiting = batcher("a0", "a1", "a2", "a3")
    waiting.take(3)

    assert waiting.due_ns() == 3 + 10


def test_a_long_queue_of_one_stream_holds_up_no_other() -> None:
    """Streams take turns."""
    waiting = batcher("a0", "a1", "a2", "a3", "b0")

    assert waiting.take(4) == ["a0", "b0", "a1"]
    assert waiting.take(4, flush=True) == ["a2", "a3"]


@pytest.mark.parametrize(("max_windows", "max_delay_ns"), [(0, 1), (-1, 1), (1, -1)])
def test_a_batcher_that_could_never_work_is_refused(max_windows: int, max_delay_ns: int) -> None:
    """The message says what was expected and what came."""
    with pytest.raises(UsageError, match=rf"got {max_windows} and {max_delay_ns} ns"):
        MicroBatcher(max_windows=max_windows, max_delay_ns=max_delay_ns)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans())), st.integers(1, 5), st.integers(0, 8))
def test_every_window_leaves_once_in_its_streams_order_and_in_time(
    steps: list[tuple[str, bool]], max_windows: int, max_delay_ns: int
) -> None:
    """Whatever is added and taken when."""
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
def test_no_stream_waits_for_more_than_one_turn_of_each_other(streams: list[str], max_windows: int) -> None:
    """Between two windows of a stream that waits, each other stream has one turn at most."""
    waiting = batcher(*(f"{stream}{index}" for index, stream in enumerate(streams)), max_windows=max_windows)
    left: list[str] = []
    while batch := waiting.take(0, flush=True):
        left += [window[0] for window in batch]

    for stream in set(streams):
        first = left.index(stream)
        assert len(set(left[:first])) == first  # nobody had two turns before its first
