"""A backlog on real servers, caught up with in bounded memory: the small version of `make backlog`."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.bounds.backlog import Wish, catch_up, check, settings_of
from benchmarks.bounds.place import BenchmarkServers
from tests.e2e.programs import Installation

Install = Callable[..., Installation]


def test_a_skewed_backlog_is_replayed_in_bounded_memory(install: Install) -> None:
    """Sound 20 s and words 60 s ahead of the pictures: memory stays near the bound, nothing is late or cut short."""
    wish = Wish(gigabytes=0.12, streams=4, partition_mib=6, model="null", limit_s=90)

    done = catch_up(wish, BenchmarkServers(install(**settings_of(wish))), lambda _: None)

    assert check(done) == []
    assert done.bytes > 2 * done.bound_mb * 1e6
    assert done.samples[-1].results == done.windows
