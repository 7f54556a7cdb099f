"""A backlog on real servers, processed in bounded memory: the small version of `make backlog`."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.bounds.backlog import BacklogOptions, check, replay_backlog, settings_of
from benchmarks.bounds.servers import BenchmarkServers
from tests.e2e.programs import Installation

Install = Callable[..., Installation]


def test_a_skewed_backlog_is_replayed_in_bounded_memory(install: Install) -> None:
    """Memory stays near the limit, and nothing is late or cut short.

    Audio is 20 s ahead of the video, and subtitles are 60 s ahead.
    """
    options = BacklogOptions(gigabytes=0.12, streams=4, partition_mib=6, model="null", limit_s=180)

    done = replay_backlog(options, BenchmarkServers(install(**settings_of(options))), lambda _: None)

    assert check(done) == []
    assert done.bytes > 2 * done.limit_mb * 1e6
    assert done.samples[-1].results == done.windows
