"""Overlaps with many intervals."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from triptych.consumers.asking.time_spans import TimeSpans

INTERVAL = st.tuples(st.integers(0, 30), st.integers(1, 6)).map(lambda pair: (pair[0], pair[0] + pair[1]))


@given(st.lists(INTERVAL, min_size=1), st.lists(INTERVAL))
def test_an_interval_overlaps_the_union_if_it_overlaps_one(
    spans: list[tuple[int, int]], asked: list[tuple[int, int]]
) -> None:
    """Touching is not overlapping."""
    found = TimeSpans.of(spans).overlap(*np.array(asked, np.int64).reshape(-1, 2).T)
    assert found.tolist() == [any(a < d and c < b for c, d in spans) for a, b in asked]
