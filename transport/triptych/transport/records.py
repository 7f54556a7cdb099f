"""The plain values that cross the transport. They hold bytes and numbers, and know no client and no codec."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

Headers = tuple[tuple[str, bytes], ...]
"""Headers in their order; a name may come more than once."""

OutOfRangePolicy = Literal["earliest", "latest", "stop"]
"""Where to go on when the offset to read at is no longer (or not yet) in the log."""


class TopicPartition(NamedTuple):
    """One partition of one topic."""

    topic: str
    partition: int


@dataclass(frozen=True, slots=True)
class Record:
    """One record as it lies in the log; `arrival_ns` is the broker's append time.

    A null value reads as no bytes, and so does a null header.
    """

    topic: str
    partition: int
    offset: int
    arrival_ns: int
    key: bytes | None
    value: bytes
    headers: Headers = ()

    @property
    def tp(self) -> TopicPartition:
        """Where it lies."""
        return TopicPartition(self.topic, self.partition)

    @property
    def size_bytes(self) -> int:
        """Key, value and headers together."""
        return size_bytes(self.key, self.value, self.headers)


@dataclass(frozen=True, slots=True)
class Message:
    """One record to be sent; without a partition the key chooses it, by murmur2 as all Kafka clients in Java do."""

    topic: str
    key: bytes
    value: bytes
    headers: Headers = ()
    partition: int | None = None

    @property
    def size_bytes(self) -> int:
        """Key, value and headers together: what the size limit is compared with."""
        return size_bytes(self.key, self.value, self.headers)


@dataclass(frozen=True, slots=True)
class Commit:
    """The next offset a group wants to read of a partition, and a note of its own."""

    offset: int
    metadata: str = ""


@dataclass(frozen=True, slots=True)
class Membership:
    """As whom a consumer was given its partitions: a broker refuses what comes in the name of an older generation."""

    group: str
    generation: int
    member_id: str
    instance_id: str | None = None


@dataclass(frozen=True, slots=True)
class GroupOffsets:
    """Where a group goes on reading partitions, and the membership that gave them to us."""

    member: Membership
    commits: Mapping[TopicPartition, Commit]


@dataclass(frozen=True, slots=True)
class Delivered:
    """Where an acknowledged message lies now."""

    topic: str
    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class Member:
    """One member of a group; a static one has an `instance_id`, which it keeps from one start to the next."""

    member_id: str
    client_host: str
    instance_id: str | None = None


@dataclass(frozen=True, slots=True)
class OffsetOutOfRange:
    """A jump over records nobody will read: retention took them, or the topic was made anew.

    `wanted` was the offset to read at, `resumed` is where reading goes on.
    """

    tp: TopicPartition
    wanted: int
    resumed: int


@dataclass(frozen=True, slots=True)
class Poll:
    """The records of one poll, and what became of the assignment since the last one.

    The changes come first: apply `lost` and `revoked`, then `assigned`, then take the records, which all belong to
    the assignment as it is afterwards. A partition that the group took and gave back stands in both `revoked` and
    `assigned`. A newly assigned partition stands where the group committed, and is not paused. Records of one partition
    are in offset order; between partitions there is no order.

    `revoking` comes last: partitions that the group asks back and that are still ours, to be finished, committed and
    let go. They stand in `revoked` or `lost` of a later poll; meanwhile no records of them come.
    """

    records: tuple[Record, ...] = ()
    assigned: frozenset[TopicPartition] = field(default_factory=frozenset)
    revoked: frozenset[TopicPartition] = field(default_factory=frozenset)
    lost: frozenset[TopicPartition] = field(default_factory=frozenset)
    out_of_range: tuple[OffsetOutOfRange, ...] = ()
    revoking: frozenset[TopicPartition] = field(default_factory=frozenset)


def size_bytes(key: bytes | None, value: bytes, headers: Headers) -> int:
    """Count what a record carries, as the size limit counts it."""
    carried = len(value) + (len(key) if key else 0)
    return carried + sum(len(name.encode()) + len(content) for name, content in headers)
