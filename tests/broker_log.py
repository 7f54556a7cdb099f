"""Damages records in the log files of a broker, as a disk fault does."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

    from tools.devservers import DevKafka
    from triptych.transport.records import TopicPartition

_LENGTH_AT: Final = 8
_RECORDS_AT: Final = 61
"""Of a batch: where its length stands, and where its records begin. The checksum covers the records."""


def damage_batch(broker: DevKafka, tp: TopicPartition, offset: int) -> None:
    """Flip the bits of one byte of the batch that begins at an offset. The broker may be running: it does not look."""
    (log,) = broker.data_dir.rglob(f"{tp.topic}-{tp.partition}/00000000000000000000.log")
    at = _position_of(log, offset) + _RECORDS_AT
    with log.open("r+b") as file:
        file.seek(at)
        (byte,) = file.read(1)
        file.seek(at)
        file.write(bytes([byte ^ 0xFF]))


def _position_of(log: Path, offset: int) -> int:
    content = log.read_bytes()
    at, found = 0, []
    while at + _RECORDS_AT <= len(content):
        (begin, length) = struct.unpack_from(">qi", content, at)
        if begin == offset:
            return at
        found.append(begin)
        at += _LENGTH_AT + 4 + length
    raise ValueError(f"{log}: no batch begins at {offset}; there are {found}")
