"""The plain values that cross the transport: bytes and numbers, independent of client and codec."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Final, Literal, NamedTuple

Headers = tuple[tuple[str, bytes], ...]
"""Headers in their order. A name may occur more than once."""

OutOfRangePolicy = Literal["earliest", "latest", "stop"]
"""Where to continue if the offset to read is not in the log: at its beginning, at its end, or not at all."""

_NAME: Final = itemgetter(0)
_CONTENT: Final = itemgetter(1)

UnreadablePolicy = Literal["skip", "stop"]
"""What to do with a batch that cannot be read: continue behind it, or stop reading its partition."""


class TopicPartition(NamedTuple):
    """One partition of one topic."""

    topic: str
    partition: int


@dataclass(slots=True, unsafe_hash=True)  # each poll makes many: a frozen one takes three times as long
class Record:
    """One record of the log. Nothing changes it. A null value reads as no bytes, and so does a null header.

    `arrival_ns` is the broker's append time, in nanoseconds since the epoch.
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
        """The partition that holds the record."""
        return TopicPartition(self.topic, self.partition)

    @property
    def size_bytes(self) -> int:
        """The size of key, value and headers."""
        return size_bytes(self.key, self.value, self.headers)


@dataclass(frozen=True, slots=True)
class Message:
    """One record to send. Without a partition, murmur2 of the key chooses it, as in Kafka's Java clients.

    Without a value it is a tombstone: compaction deletes the records of its key, and later the tombstone.
    """

    topic: str
    key: bytes
    value: bytes | None
    headers: Headers = ()
    partition: int | None = None

    @property
    def size_bytes(self) -> int:
        """The size of key, value and headers, which the size limit applies to."""
        return size_bytes(self.key, self.value or b"", self.headers)


@dataclass(frozen=True, slots=True)
class Commit:
    """The next offset that a group will read of a partition, with metadata."""

    offset: int
    metadata: str = ""


@dataclass(frozen=True, slots=True)
class Membership:
    """The membership under which a consumer got its partitions. A broker rejects requests of an older generation."""

    group: str
    generation: int
    member_id: str
    instance_id: str | None = None


@dataclass(frozen=True, slots=True)
class GroupOffsets:
    """The offsets at which a group continues, and the membership that owns the partitions."""

    member: Membership
    commits: Mapping[TopicPartition, Commit]


@dataclass(frozen=True, slots=True)
class Delivered:
    """The position of an acknowledged message."""

    topic: str
    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class Member:
    """One member of a group. A static member has an `instance_id`, which it keeps across restarts."""

    member_id: str
    client_host: str
    instance_id: str | None = None


@dataclass(frozen=True, slots=True)
class OffsetOutOfRange:
    """A jump over records that can no longer be read: retention deleted them, or the topic was recreated.

    `wanted` is the offset that was to be read next, `resumed` is where reading continues.
    """

    tp: TopicPartition
    wanted: int
    resumed: int


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A span of offsets that cannot be read, up to `next_offset`: a wrong checksum, a codec, a broken record.

    `stopped`: its partition is not read any more, until it is assigned again or a caller seeks. Otherwise reading
    continues at `next_offset`.
    """

    tp: TopicPartition
    offset: int
    next_offset: int
    reason: str
    stopped: bool


@dataclass(frozen=True, slots=True)
class Poll:
    """The records of one poll, and how the assignment changed since the last one.

    Apply the changes first: `lost` and `revoked`, then `assigned`. Then take the records, which all belong to the
    resulting assignment. A partition that was revoked and assigned again is in both sets. A newly assigned partition is
    positioned at the committed offset and is not paused. Records of one partition are in offset order; there is no
    order between partitions.

    Apply `revoking` last: partitions that the group is revoking and that are still ours, to finish and commit before
    they are given up. A later poll reports them in `revoked` or `lost`; until then it returns no records of them.
    """

    records: tuple[Record, ...] = ()
    assigned: frozenset[TopicPartition] = field(default_factory=frozenset)
    revoked: frozenset[TopicPartition] = field(default_factory=frozenset)
    lost: frozenset[TopicPartition] = field(default_factory=frozenset)
    out_of_range: tuple[OffsetOutOfRange, ...] = ()
    revoking: frozenset[TopicPartition] = field(default_factory=frozenset)
    unreadable: tuple[Unreadable, ...] = ()


def size_bytes(key: bytes | None, value: bytes, headers: Headers) -> int:
    """Return the size of a record as the size limit counts it."""
    # Each record that is read or sent has a dozen headers, so this loops in C. Nearly all names are ASCII.
    names, contents = "".join(map(_NAME, headers)), map(_CONTENT, headers)
    name_bytes = len(names) if names.isascii() else len(names.encode())
    return len(value) + (len(key) if key else 0) + name_bytes + sum(map(len, contents))
