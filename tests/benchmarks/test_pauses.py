"""Pauses and throughput from the times of results."""

from __future__ import annotations

import pytest

from benchmarks.scaling.pauses import Pause, longest_pauses, throughput

SECOND = 1_000_000_000


def test_the_longest_pause_of_all_and_of_each_stream() -> None:
    """One stream goes on while the other waits."""
    times_ns = {"a": [second * SECOND for second in range(10)], "b": [0, SECOND, 8 * SECOND, 9 * SECOND]}

    assert longest_pauses(times_ns, 0, 9 * SECOND) == Pause(all_s=1, stream_s=7, worst_stream_s=7)


def test_a_pause_that_begins_before_the_event_counts_from_its_last_result() -> None:
    """And one that ends after it to its next result."""
    times_ns = {"a": [0, 10 * SECOND]}

    assert longest_pauses(times_ns, 4 * SECOND, 6 * SECOND).all_s == 10


def test_a_stream_without_results_paused_for_the_whole_time() -> None:
    """It is not forgotten."""
    assert longest_pauses({"a": [], "b": [SECOND]}, 0, 4 * SECOND).worst_stream_s == 4


def test_no_streams_are_an_error() -> None:
    """A pause of nothing would be read as no pause."""
    with pytest.raises(ValueError, match="at least one stream"):
        longest_pauses({}, 0, 1)


def test_the_throughput_leaves_out_the_first_and_last_tenth() -> None:
    """Ten a second, except at the ends."""
    times_ns = [0, *(5 * SECOND + number * SECOND // 10 for number in range(98)), 90 * SECOND]

    assert throughput(times_ns) == pytest.approx(10)
    with pytest.raises(ValueError, match="ten or more"):
        throughput([SECOND] * 20)
