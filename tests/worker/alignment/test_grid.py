"""Windows by division are the windows one finds by looking at each."""

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
def test_a_span_touches_the_windows_that_overlap_it(grid: WindowGrid, start: int, length: int) -> None:
    """By brute force: every window whose span and the item's have an instant in common."""
    end = start + length
    touched = [index for index in INDICES if grid.start_ns(index) < end and grid.end_ns(index) > start]

    assert list(range(grid.first_overlapping(start), grid.last_overlapping(end) + 1)) == touched


@given(grids, moments)
def test_the_first_window_from_a_moment_on_is_found_by_division(grid: WindowGrid, moment: int) -> None:
    """The first that begins at or after it, and the first that ends beyond it."""
    assert grid.first_starting_at_or_after(moment) == next(i for i in INDICES if grid.start_ns(i) >= moment)
    assert grid.first_ending_after(moment) == next(i for i in INDICES if grid.end_ns(i) > moment)


@given(grids)
def test_windows_are_aligned_to_the_epoch_and_leave_no_hole(grid: WindowGrid) -> None:
    """Every instant lies in at least one window."""
    assert grid.start_ns(0) == 0
    assert all(grid.start_ns(index + 1) <= grid.end_ns(index) for index in INDICES)


@pytest.mark.parametrize(("size", "hop"), [(2, 0), (2, 3), (0, 0), (2, -1)])
def test_a_hop_that_leaves_holes_or_stands_still_is_refused(size: int, hop: int) -> None:
    """The message says what was expected and what came."""
    with pytest.raises(UsageError, match=rf"0 < hop <= size, got hop {hop} ns and size {size} ns"):
        AlignConfig(size_ns=size, hop_ns=hop)
