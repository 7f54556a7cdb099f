"""The arithmetic of the window grid agrees with a search over all windows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triptych.schemas.errors import UsageError
from triptych.worker.alignment.config import AlignConfig
from triptych.worker.alignment.grid import WindowGrid

grids = st.integers(1, 12).flatmap(lambda size: st.builds(WindowGrid, st.just(size), st.integers(1, size)))
moments = st.integers(0, 60)
INDICES = range(200)


@given(grids, moments, st.integers(1, 40))
def test_first_and_last_overlapping_delimit_the_windows_that_overlap_a_span(
    grid: WindowGrid, start: int, length: int
) -> None:
    """Compared with a search over all windows."""
    end = start + length
    overlapping = [index for index in INDICES if grid.start_ns(index) < end and grid.end_ns(index) > start]

    assert list(range(grid.first_overlapping(start), grid.last_overlapping(end) + 1)) == overlapping


@given(grids, moments)
def test_the_first_window_that_starts_or_ends_after_a_time_is_found_by_division(grid: WindowGrid, moment: int) -> None:
    """Compared with a search over all windows."""
    assert grid.first_starting_at_or_after(moment) == next(i for i in INDICES if grid.start_ns(i) >= moment)
    assert grid.first_ending_after(moment) == next(i for i in INDICES if grid.end_ns(i) > moment)


@given(grids)
def test_windows_are_aligned_to_the_epoch_and_leave_no_gap(grid: WindowGrid) -> None:
    """Every time is in at least one window."""
    assert grid.start_ns(0) == 0
    assert all(grid.start_ns(index + 1) <= grid.end_ns(index) for index in INDICES)


@pytest.mark.parametrize(("size", "hop"), [(2, 0), (2, 3), (0, 0), (2, -1)])
def test_a_hop_that_leaves_gaps_or_is_not_positive_is_a_usage_error(size: int, hop: int) -> None:
    """The message has the expected and the actual values."""
    with pytest.raises(UsageError, match=rf"0 < hop <= size, got hop {hop} ns and size {size} ns"):
        AlignConfig(size_ns=size, hop_ns=hop)
