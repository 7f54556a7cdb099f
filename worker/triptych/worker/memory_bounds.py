"""Keeps the buffers of a worker within the memory that it may use. A container that exceeds its limit is killed."""

from __future__ import annotations

from typing import Final

import structlog

from triptych.settings.tree import Settings
from triptych.units import MIB

_log = structlog.get_logger(__name__)

_SHARE_OF_BUFFERS: Final = 2
"""One half of the free memory is for encoded media that wait; the other for what is decoded and computed from them."""
_LEAST_BYTES: Final = MIB


def within_memory(settings: Settings, *, limit_bytes: int | None, used_bytes: int, partitions: int) -> Settings:
    """Return the settings with buffers that fit below the limit even if this worker has all partitions.

    Args:
        settings: the settings as the user gave them. Values that fit are kept.
        limit_bytes: what the process may occupy; None for no limit.
        used_bytes: what it occupies with a warm model and empty buffers.
        partitions: number of partitions of the input topics.
    """
    if limit_bytes is None:
        return settings
    free = limit_bytes - used_bytes - settings.kafka.publisher_max_in_flight_bytes
    fitting = max(free // _SHARE_OF_BUFFERS // partitions, _LEAST_BYTES)
    align = settings.align
    partition_max = min(align.partition_max_bytes, fitting)
    stream_max = min(align.stream_max_bytes, partition_max)
    numbers: dict[str, int | bool] = {
        "limit_mib": limit_bytes // MIB,
        "used_mib": used_bytes // MIB,
        "partitions": partitions,
        "partition_max_mib": partition_max // MIB,
        "stream_max_mib": stream_max // MIB,
        "lowered": partition_max < align.partition_max_bytes,
    }
    if free >= _SHARE_OF_BUFFERS * partitions * _LEAST_BYTES:
        _log.info("memory_limit", **numbers)
    else:
        _log.warning("memory_limit_too_low", **numbers)
    lowered = align.model_copy(update={"partition_max_bytes": partition_max, "stream_max_bytes": stream_max})
    return settings.model_copy(update={"align": lowered})
