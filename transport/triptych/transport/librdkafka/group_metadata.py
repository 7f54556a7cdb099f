"""A member's identity in the form in which librdkafka hands it out and takes it back for a transaction.

That form is a magic word, the generation (a 32-bit integer), and three texts that each end with a zero byte: the group,
the member id and, behind a byte that says whether there is one, the instance id.
"""

from __future__ import annotations

import struct
from typing import Final

from confluent_kafka import Consumer

from triptych.transport.errors import StopError
from triptych.transport.records import Membership

MAGIC: Final = b"CGMDv2:"
_HEAD: Final = struct.Struct(f"={len(MAGIC)}si")


def membership_of(client: Consumer) -> tuple[int, str]:
    """Return the generation (below 0: no member) and the member id."""
    metadata = bytes(client.consumer_group_metadata())
    magic, generation = _HEAD.unpack_from(metadata)
    if magic != MAGIC:
        raise StopError(f"librdkafka: expected the metadata of a group to begin with {MAGIC!r}, got {magic!r}")
    _, member_id, _ = metadata[_HEAD.size :].split(b"\0", 2)
    return generation, member_id.decode()


def is_member(client: Consumer) -> bool:
    """Return whether the client is a member of its group, as far as it knows."""
    generation, member_id = membership_of(client)
    return generation >= 0 and bool(member_id)


def group_metadata(member: Membership) -> bytes:
    """Return what librdkafka takes with the offsets of a transaction."""
    texts = member.group.encode() + b"\0" + member.member_id.encode() + b"\0"
    instance = b"\1" if member.instance_id is None else b"\0" + member.instance_id.encode() + b"\0"
    return _HEAD.pack(MAGIC, member.generation) + texts + instance
