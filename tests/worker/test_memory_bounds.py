"""The buffers of a worker within the memory that it may use."""

from __future__ import annotations

from structlog.testing import capture_logs

from triptych.settings.tree import Settings
from triptych.units import MIB
from triptych.worker.memory_bounds import within_memory


def test_without_a_limit_the_settings_are_kept() -> None:
    """A worker outside a container."""
    assert within_memory(Settings(), limit_bytes=None, used_bytes=0, partitions=4) == Settings()


def test_the_buffers_of_all_partitions_fit_in_one_half_of_what_is_free() -> None:
    """3 GiB, of which 1 GiB is used and 64 MiB are the publisher's."""
    with capture_logs() as logs:
        bounded = within_memory(Settings(), limit_bytes=3_072 * MIB, used_bytes=1_024 * MIB, partitions=8)

    assert bounded.align.partition_max_bytes == (2_048 - 64) // 2 // 8 * MIB
    assert bounded.align.stream_max_bytes == Settings().align.stream_max_bytes
    assert [(log["event"], log["log_level"], log["lowered"]) for log in logs] == [("memory_limit", "info", True)]


def test_settings_that_fit_are_kept() -> None:
    """A generous limit changes nothing."""
    assert within_memory(Settings(), limit_bytes=64_000 * MIB, used_bytes=MIB, partitions=4) == Settings()


def test_a_limit_that_leaves_nothing_is_a_warning_and_one_mebibyte() -> None:
    """The worker still runs, as long as it can."""
    with capture_logs() as logs:
        bounded = within_memory(Settings(), limit_bytes=512 * MIB, used_bytes=600 * MIB, partitions=4)

    assert bounded.align.partition_max_bytes == bounded.align.stream_max_bytes == MIB
    assert logs[0]["event"] == "memory_limit_too_low"
