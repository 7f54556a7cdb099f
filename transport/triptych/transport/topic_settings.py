"""What a topic ought to be, what it is, and the difference. Pure values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType

APPEND_TIME = "LogAppendTime"
DEFAULT_PARTITIONS = 6
BROKER_REPLICATION = -1
"""Kafka's own mark for "as many replicas as the broker's default.replication.factor says"."""
DEFAULT_RETENTION = timedelta(days=7)
BATCH_OVERHEAD_BYTES = 4096
"""What Kafka's limit counts beyond a record's key, value and headers: the batch's frame and the lengths."""


@dataclass(frozen=True, slots=True)
class TopicSettings:
    """A topic as it is wanted."""

    name: str
    partitions: int = DEFAULT_PARTITIONS
    replication: int = BROKER_REPLICATION
    retention_ms: int = DEFAULT_RETENTION // timedelta(milliseconds=1)
    max_record_bytes: int = 4 << 20

    @property
    def max_batch_bytes(self) -> int:
        """The topic's `max.message.bytes`: Kafka compares a whole batch with it."""
        return self.max_record_bytes + BATCH_OVERHEAD_BYTES

    @property
    def configs(self) -> Mapping[str, str]:
        """The topic's settings by Kafka's own names.

        Append time, since with the sender's time a film stamped last year is deleted by retention at once.
        """
        return MappingProxyType(
            {
                "message.timestamp.type": APPEND_TIME,
                "max.message.bytes": str(self.max_batch_bytes),
                "retention.ms": str(self.retention_ms),
                "cleanup.policy": "delete",
            }
        )


@dataclass(frozen=True, slots=True)
class TopicState:
    """A topic as it is."""

    name: str
    partitions: int
    configs: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class TopicProblem:
    """One thing that is wrong with one topic, and what mends it."""

    topic: str
    expected: str
    found: str
    remedy: str

    def __str__(self) -> str:
        """Say it in one line."""
        return f"{self.topic}: expected {self.expected}, found {self.found}; {self.remedy}"
