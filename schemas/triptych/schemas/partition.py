"""Kafka's default partitioner (murmur2) in plain Python.

The worker checks every record against it, and the memory transport partitions by it; neither may import a Kafka client.
The hash is that of `org.apache.kafka.common.utils.Utils.murmur2` (seed 0x9747b28c).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

_SEED: Final = 0x9747B28C
_MULTIPLIER: Final = 0x5BD1E995
_WORD: Final = 0xFFFFFFFF


_LONGEST_CACHED_BYTES: Final = 128


def partition_of(key: bytes, partitions: int) -> int:
    """Return the partition of `key` on a topic with `partitions` partitions."""
    # Cache stream ids only: a foreign key may be a megabyte.
    hashed = _cached_hash(key) if len(key) <= _LONGEST_CACHED_BYTES else murmur2(key)
    return (hashed & 0x7FFFFFFF) % partitions


def murmur2(data: bytes) -> int:
    """Return the unsigned 32-bit murmur2 hash of `data`."""
    length = len(data)
    state = (_SEED ^ length) & _WORD
    whole = length & ~3
    for at in range(0, whole, 4):
        word = int.from_bytes(data[at : at + 4], "little") * _MULTIPLIER & _WORD
        word = (word ^ (word >> 24)) * _MULTIPLIER & _WORD
        state = (state * _MULTIPLIER & _WORD) ^ word
    if length > whole:
        state = (state ^ int.from_bytes(data[whole:], "little")) * _MULTIPLIER & _WORD
    state = (state ^ (state >> 13)) * _MULTIPLIER & _WORD
    return state ^ (state >> 15)


_cached_hash: Final = lru_cache(maxsize=16_384)(murmur2)
