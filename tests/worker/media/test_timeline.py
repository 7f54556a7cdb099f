"""Placing audio on the samples of a window."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from triptych.worker.media.timeline import SampleTimeline

SECOND = 1_000_000_000
RATE_HZ = 16_000
START_NS = 1_767_225_600 * SECOND
SIZE = 2 * RATE_HZ


def empty_timeline(*, rate_hz: int = RATE_HZ, start_ns: int = START_NS) -> SampleTimeline:
    """Return the timeline of a window of two seconds."""
    return SampleTimeline(start_ns=start_ns, end_ns=start_ns + 2 * SECOND, rate_hz=rate_hz)


def at(sample: float, *, rate_hz: int = RATE_HZ) -> int:
    """Return the time of a sample, in nanoseconds."""
    return START_NS + round(sample * SECOND / rate_hz)


def numbered(first: int, last: int) -> NDArray[np.float32]:
    """Return samples whose values are their indices plus 0.5, so none is zero."""
    return np.arange(first, last).astype(np.float32) + 0.5


def place(timeline: SampleTimeline, first: int, last: int) -> bool:
    """Place the chunk of samples `first` to `last`."""
    return timeline.place(numbered(first, last), start_ns=at(first), end_ns=at(last))


def test_a_window_without_audio_is_silent_and_has_no_present_range() -> None:
    """All samples are zero."""
    timeline = empty_timeline()
    assert timeline.samples.shape == (SIZE,)
    assert not timeline.samples.any()
    assert timeline.present == ()


def test_chunks_join_at_the_exact_sample() -> None:
    """Four chunks of half a second fill the window without a gap."""
    timeline = empty_timeline()
    for first in range(0, SIZE, 8_000):
        assert place(timeline, first, first + 8_000)
    np.testing.assert_array_equal(timeline.samples, numbered(0, SIZE))
    assert timeline.present == ((0, SIZE),)
    assert timeline.overlaps == 0


def test_chunks_that_cross_the_window_boundaries_are_cut() -> None:
    """Only the samples inside the window are used."""
    timeline = empty_timeline()
    assert place(timeline, -3_001, 5_000)
    assert place(timeline, 31_000, 39_000)
    np.testing.assert_array_equal(timeline.samples[:5_000], numbered(0, 5_000))
    np.testing.assert_array_equal(timeline.samples[31_000:], numbered(31_000, SIZE))
    assert timeline.present == ((0, 5_000), (31_000, SIZE))


def test_a_chunk_longer_than_the_window_fills_it() -> None:
    """It is cut at both ends."""
    timeline = empty_timeline()
    assert place(timeline, -80_000, 80_000)
    np.testing.assert_array_equal(timeline.samples, numbered(0, SIZE))


def test_a_chunk_that_overlaps_the_window_by_less_than_half_a_sample_is_not_used() -> None:
    """No range is present."""
    timeline = empty_timeline()
    assert not timeline.place(numbered(-8_000, 0), start_ns=at(-8_000), end_ns=at(0) + 20_000)
    assert timeline.present == ()


def test_a_gap_is_not_filled() -> None:
    """Silence that was not recorded does not count as audio."""
    timeline = empty_timeline()
    place(timeline, 0, 8_000)
    place(timeline, 8_002, 16_000)
    assert timeline.present == ((0, 8_000), (8_002, 16_000))
    assert not timeline.samples[8_000:8_002].any()


@pytest.mark.parametrize("skew", [-1, 1])
def test_chunks_that_are_one_sample_apart_are_joined_without_a_repair(skew: int) -> None:
    """The times of the two chunks were rounded in opposite directions."""
    timeline = empty_timeline()
    place(timeline, 0, 8_000)
    timeline.place(numbered(8_000, 16_000), start_ns=at(8_000 + skew), end_ns=at(16_000 + skew))
    assert timeline.present == ((0, 16_000 + skew),)
    assert timeline.overlaps == 0
    assert timeline.samples[: 16_000 + skew].all()
    np.testing.assert_array_equal(timeline.samples[:8_000], numbered(0, 8_000))


def test_the_earlier_of_two_overlapping_chunks_is_kept() -> None:
    """Samples are not added up. The overlap is counted."""
    timeline = empty_timeline()
    place(timeline, 0, 8_000)
    assert timeline.place(-numbered(4_000, 12_000), start_ns=at(4_000), end_ns=at(12_000))
    np.testing.assert_array_equal(timeline.samples[:8_000], numbered(0, 8_000))
    np.testing.assert_array_equal(timeline.samples[8_000:12_000], -numbered(8_000, 12_000))
    assert timeline.present == ((0, 12_000),)
    assert timeline.overlaps == 1


def test_a_chunk_inside_another_one_has_no_effect() -> None:
    """The next chunk still joins the longer one."""
    timeline = empty_timeline()
    place(timeline, 0, 16_000)
    assert not place(timeline, 4_000, 8_000)
    place(timeline, 16_000, 24_000)
    np.testing.assert_array_equal(timeline.samples[:24_000], numbered(0, 24_000))
    assert timeline.present == ((0, 24_000),)
    assert timeline.overlaps == 1


def test_a_chunk_with_clock_drift_is_stretched_to_its_duration() -> None:
    """It is 80 samples short of half a second. There is no gap and no click."""
    timeline = empty_timeline()
    ramp = np.linspace(0.1, 0.9, 7_920, dtype=np.float32)
    timeline.place(ramp, start_ns=at(0), end_ns=at(8_000))
    np.testing.assert_allclose(timeline.samples[:8_000], np.linspace(0.1, 0.9, 8_000), atol=1e-4)
    assert timeline.present == ((0, 8_000),)


@given(
    st.lists(st.integers(1, 9_000), min_size=1, max_size=12),
    st.integers(-9_000, 9_000),
    st.integers(0, SECOND // 48_000),  # less than a sample at every rate
    st.sampled_from([8_000, 11_025, 16_000, 22_050, 44_100, 48_000]),
)
def test_consecutive_chunks_leave_no_gap_and_no_overlap(
    lengths: list[int], first: int, skew_ns: int, rate_hz: int
) -> None:
    """For any sample rate, any lengths, and any start of the window between two samples."""
    timeline = empty_timeline(rate_hz=rate_hz, start_ns=START_NS + skew_ns)
    place_of = first
    for length in lengths:
        start_ns, end_ns = at(place_of, rate_hz=rate_hz), at(place_of + length, rate_hz=rate_hz)
        timeline.place(np.ones(length, np.float32), start_ns=start_ns, end_ns=end_ns)
        place_of += length
    size = len(timeline.samples)
    assert timeline.overlaps == 0
    assert len(timeline.present) <= 1
    for begin, end in timeline.present:
        assert timeline.samples[begin:end].all()
        assert abs(begin - max(first, 0)) <= 1
        assert abs(end - min(place_of, size)) <= 1
    assert np.count_nonzero(timeline.samples) == sum(end - begin for begin, end in timeline.present)


@given(st.lists(st.tuples(st.integers(-9_000, 40_000), st.integers(1, 9_000)), max_size=10))
def test_the_present_ranges_are_ordered_disjoint_and_contain_the_placed_samples(
    spans: list[tuple[int, int]],
) -> None:
    """Each sample keeps its own value, whichever chunk it came from."""
    timeline = empty_timeline()
    covered = np.zeros(SIZE, bool)
    for first, length in sorted(spans):
        place(timeline, first, first + length)
        covered[max(first, 0) : max(first + length, 0)] = True
    present = np.zeros(SIZE, bool)
    last = -1
    for begin, end in timeline.present:
        assert last < begin < end <= SIZE
        present[begin:end] = True
        last = end
    holes = present & ~covered  # of one sample, between neighbours
    np.testing.assert_array_equal(present & covered, covered)
    np.testing.assert_array_equal(timeline.samples[covered], numbered(0, SIZE)[covered])
    assert not (holes[1:] & holes[:-1]).any()
