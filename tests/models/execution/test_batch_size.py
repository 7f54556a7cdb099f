"""The batch size decreases when memory runs out, and grows back slowly."""

from __future__ import annotations

import pytest

from triptych.models.execution.batch_size import BatchLimit


@pytest.mark.parametrize(("largest", "sizes"), [(1, (1,)), (8, (1, 2, 4, 8)), (12, (1, 2, 4, 8, 12))])
def test_sizes_are_powers_of_two_and_the_largest(largest: int, sizes: tuple[int, ...]) -> None:
    """There are only a few sizes, so that all can be warmed up."""
    assert BatchLimit(largest).sizes == sizes


def test_a_batch_takes_the_smallest_size_that_holds_it() -> None:
    """The size is never too small."""
    limit = BatchLimit(12)
    assert [limit.size_for(windows) for windows in (1, 2, 3, 8, 9, 12)] == [1, 2, 4, 8, 12, 12]


def test_it_takes_the_next_smaller_size_each_time_memory_runs_out() -> None:
    """At one window there is no smaller size."""
    limit = BatchLimit(8)
    assert [(limit.record_out_of_memory(), limit.current) for _ in range(4)] == [
        (True, 4),
        (True, 2),
        (True, 1),
        (False, 1),
    ]


def test_it_grows_after_many_full_batches_only() -> None:
    """Partial batches do not count."""
    limit = BatchLimit(8)
    limit.record_out_of_memory()
    for _ in range(1_000):
        limit.record_success(3)
    assert limit.current == 4
    for _ in range(99):
        limit.record_success(4)
    assert limit.current == 4
    limit.record_success(4)
    assert limit.current == 8


def test_running_out_again_restarts_the_count() -> None:
    """The count restarts with each attempt."""
    limit = BatchLimit(8)
    limit.record_out_of_memory()
    for _ in range(99):
        limit.record_success(4)
    limit.record_out_of_memory()
    limit.record_success(2)
    assert limit.current == 2


def test_a_size_of_zero_is_rejected() -> None:
    """A size of 0 is invalid."""
    with pytest.raises(ValueError, match="at least one window"):
        BatchLimit(0)
