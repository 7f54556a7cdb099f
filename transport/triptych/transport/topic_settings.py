"""The wanted settings of a topic, its actual state, and the differences. Plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType
from typing import Literal

APPEND_TIME = "LogAppendTime"
DEFAULT_PARTITIONS = 6
BROKER_REPLICATION = -1
"""Kafka's value for the broker's `default.replication.factor`."""
DEFAULT_RETENTION = timedelta(days=7)
BATCH_OVERHEAD_BYTES = 4096
"""What Kafka's size limit counts in addition to a record's key, value and headers: batch header and lengths."""


@dataclass(frozen=True, slots=True)
class TopicSettings:
    """The wanted settings of a topic."""

    name: str
    partitions: int = DEFAULT_PARTITIONS
    replication: int = BROKER_REPLICATION
    retention_ms: int = DEFAULT_RETENTION // timedelta(milliseconds=1)
    max_record_bytes: int = 4 << 20
    cleanup_policy: Literal["delete", "compact"] = "delete"
    max_compaction_lag_ms: int | None = None
    """After this long, compaction deletes what tombstones and newer records replace. By default the broker decides."""

    @property
    def max_batch_bytes(self) -> int:
        """The topic's `max.message.bytes`, which Kafka compares with the size of a whole batch."""
        return self.max_record_bytes + BATCH_OVERHEAD_BYTES

    @property
    def configs(self) -> Mapping[str, str]:
        """The topic's configs by Kafka's names.

        Timestamps are append times: with the sender's time, retention would delete last year's film at once.
        """
        lag = self.max_compaction_lag_ms
        own = {} if lag is None else {"max.compaction.lag.ms": str(lag)}
        return MappingProxyType(
            {
                "message.timestamp.type": APPEND_TIME,
                "max.message.bytes": str(self.max_batch_bytes),
                "retention.ms": str(self.retention_ms),
                "cleanup.policy": self.cleanup_policy,
                **own,
            }
        )


@dataclass(frozen=True, slots=True)
class TopicState:
    """The actual state of a topic."""

    name: str
    partitions: int
    configs: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class TopicIdentity:
    """Which topic has a name now: a topic that is deleted and created again has another id (KIP-516).

    The id is empty if the broker is too old to have one.
    """

    id: str
    partitions: int


@dataclass(frozen=True, slots=True)
class TopicProblem:
    """One wrong setting of one topic, and how to fix it."""

    topic: str
    expected: str
    found: str
    remedy: str

    def __str__(self) -> str:
        """Return the problem in one line."""
        return f"{self.topic}: expected {self.expected}, found {self.found}; {self.remedy}"
