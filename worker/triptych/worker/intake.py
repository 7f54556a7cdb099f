"""Turns a record of an input topic into an entry for alignment, or into a dead entry with the reason."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from triptych.schemas.codec import decode
from triptych.schemas.dead_codec import read_redrive_origin
from triptych.schemas.errors import MalformedRecordError
from triptych.schemas.names import DEFAULT_PIPELINE, MODALITY_OF, STREAM_PATTERN
from triptych.schemas.partition import partition_of
from triptych.schemas.reasons import DeadReason
from triptych.schemas.records import AudioChunk, End, InputRecord, SubtitleCue, VideoFrame
from triptych.transport.records import Record
from triptych.worker.alignment.entry import Entry, Kind

_STREAM: Final = re.compile(STREAM_PATTERN)

MAX_TEXT_BYTES: Final = 64 * 1024
"""The largest cue. Each window that a cue overlaps repeats its text in the result; 64 KiB are hours of subtitles.

Frames and audio are bounded where they are decoded."""

_OVERHEAD_BYTES: Final = 4 * 1024
"""The memory of a held record beside its payload: headers, decoded record and entry. Measured: 3.5 to 4 kB for every
kind of record. Without this allowance, streams of small records would use many times the configured limit."""


@dataclass(slots=True, unsafe_hash=True)  # as `Entry`
class Received:
    """A record and its decoded form. If it cannot be decoded, `reason` and `code` say why."""

    record: Record
    decoded: InputRecord | None
    reason: str = ""
    code: DeadReason | None = None


def received_entry(
    record: Record, partitions: int, pipeline: str = DEFAULT_PIPELINE, *, earlier: Sequence[int] = ()
) -> Entry:
    """Return the entry of a record for `pipeline`. The input topics have `partitions` partitions, and had `earlier`.

    Never raises for a malformed record: its entry has the kind `DEAD`. A record that another pipeline redrove has the
    kind `OTHER_PIPELINE` and is not decoded.
    """
    modality = MODALITY_OF[record.topic]
    redriven = read_redrive_origin(record.headers)
    if redriven is not None and redriven.pipeline not in {"", pipeline}:
        return _unusable(record, Kind.OTHER_PIPELINE, Received(record, None))
    wrong_partition = _wrong_partition_reason(record, partitions, earlier)
    if wrong_partition is not None:
        return _dead(record, wrong_partition, DeadReason.WRONG_PARTITION)
    if modality == "subtitles" and len(record.value) > MAX_TEXT_BYTES:
        reason = f"text: expected at most {MAX_TEXT_BYTES} bytes in a cue, got {len(record.value)}"
        return _dead(record, reason, DeadReason.TOO_LARGE)
    try:
        decoded = decode(record.key, record.value, record.headers, modality=modality)
    except MalformedRecordError as error:
        return _dead(record, str(error), error.code)
    kind, seq, end_ns = _place(decoded)
    return Entry(
        modality=modality,
        offset=record.offset,
        arrival_ns=record.arrival_ns,
        stream=decoded.stream,
        kind=kind,
        session=decoded.session,
        seq=seq,
        start_ns=decoded.start_ns,
        end_ns=end_ns,
        watermark_ns=decoded.watermark_ns,
        tracks=decoded.tracks,
        redriven=decoded.redriven,
        size_bytes=record.size_bytes + _OVERHEAD_BYTES,
        payload=Received(record, decoded),
    )


def _wrong_partition_reason(record: Record, partitions: int, earlier: Sequence[int]) -> str | None:
    if not record.key:
        return None
    expected = partition_of(record.key, partitions)
    if expected == record.partition or any(partition_of(record.key, n) == record.partition for n in earlier):
        return None
    return (
        f"partition: expected {expected} for its key (murmur2 over {partitions} partitions), got {record.partition}; "
        "the producer uses another partitioner, or partitions were added to the topic"
    )


def _dead(record: Record, reason: str, code: DeadReason) -> Entry:
    return _unusable(record, Kind.DEAD, Received(record, None, reason, code))


def _unusable(record: Record, kind: Kind, received: Received) -> Entry:
    name = (record.key or b"").decode("ascii", errors="replace")
    return Entry(
        modality=MODALITY_OF[record.topic],
        offset=record.offset,
        arrival_ns=record.arrival_ns,
        stream=name if _STREAM.fullmatch(name) else None,
        kind=kind,
        redriven=read_redrive_origin(record.headers) is not None,
        size_bytes=record.size_bytes + _OVERHEAD_BYTES,
        payload=received,
    )


def _place(decoded: InputRecord) -> tuple[Kind, int | None, int]:
    """Return kind, sequence number and end of a record."""
    # By type: `isinstance` of a class of pydantic that does not match runs Python code, and every record comes here.
    if type(decoded) is AudioChunk or type(decoded) is SubtitleCue:
        return Kind.MEDIA, decoded.seq, decoded.end_ns
    if type(decoded) is VideoFrame:
        return Kind.MEDIA, decoded.seq, decoded.start_ns + 1  # a frame is a point in time
    return (Kind.END if type(decoded) is End else Kind.PROGRESS), None, decoded.start_ns
