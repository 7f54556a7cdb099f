"""From a record of the transport to an entry for alignment, or to a dead one that says why."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from triptych.schemas.codec import decode
from triptych.schemas.dead_codec import read_redrive_origin
from triptych.schemas.errors import MalformedRecordError
from triptych.schemas.names import DEFAULT_PIPELINE, MODALITY_OF, STREAM_PATTERN
from triptych.schemas.partition import partition_of
from triptych.schemas.reasons import DeadReason
from triptych.schemas.records import AudioChunk, End, InputRecord, Progress, SubtitleCue, VideoFrame
from triptych.transport.records import Record
from triptych.worker.alignment.entry import Entry, Kind

_STREAM: Final = re.compile(STREAM_PATTERN)

MAX_TEXT_BYTES: Final = 64 * 1024
"""Pictures and sound are bounded where they are decoded; text is bounded here, since each window that a cue touches
repeats it whole in its result. It is hours of subtitles in one cue."""


_BESIDE_BYTES: Final = 4 * 1024
"""What a record takes beside its bytes while it is held: its headers, what it decodes to, its entry. Measured: 3.5 to
4 kB, whatever its kind. Without it a bound of bytes would let feeds of small records take many times as much."""


@dataclass(frozen=True, slots=True)
class Received:
    """A record with what it decodes to; without that, `reason` and `code` say why it does not."""

    record: Record
    decoded: InputRecord | None
    reason: str = ""
    code: DeadReason | None = None


def received_entry(record: Record, partitions: int, pipeline: str = DEFAULT_PIPELINE) -> Entry:
    """Return the entry of a record of an input topic that has `partitions` partitions, as `pipeline` sees it."""
    modality = MODALITY_OF[record.topic]
    returned = read_redrive_origin(record.headers)
    if returned is not None and returned.pipeline not in {"", pipeline}:
        return _unusable(record, Kind.ELSEWHERE, Received(record, None))
    misplaced = _misplaced(record, partitions)
    if misplaced is not None:
        return _dead(record, misplaced, DeadReason.WRONG_PARTITION)
    if modality == "subtitles" and len(record.value) > MAX_TEXT_BYTES:
        reason = f"text: expected at most {MAX_TEXT_BYTES} bytes in a cue, got {len(record.value)}"
        return _dead(record, reason, DeadReason.TOO_LARGE)
    try:
        decoded = decode(record.key, record.value, record.headers, modality=modality)
    except MalformedRecordError as error:
        return _dead(record, str(error), error.code)
    return Entry(
        modality=modality,
        offset=record.offset,
        arrival_ns=record.arrival_ns,
        stream=decoded.stream,
        kind=_kind(decoded),
        session=decoded.session,
        seq=None if isinstance(decoded, (Progress, End)) else decoded.seq,
        start_ns=decoded.start_ns,
        end_ns=_end_ns(decoded),
        watermark_ns=decoded.watermark_ns,
        tracks=decoded.tracks,
        redriven=decoded.redriven,
        size_bytes=record.size_bytes + _BESIDE_BYTES,
        payload=Received(record, decoded),
    )


def _misplaced(record: Record, partitions: int) -> str | None:
    if not record.key:
        return None
    own = partition_of(record.key, partitions)
    if own == record.partition:
        return None
    return (
        f"partition: expected {own} for its key (murmur2 over {partitions} partitions), got {record.partition}; "
        "its producer uses another partitioner, or the topic has grown"
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
        size_bytes=record.size_bytes + _BESIDE_BYTES,
        payload=received,
    )


def _kind(decoded: InputRecord) -> Kind:
    match decoded:
        case Progress():
            return Kind.PROGRESS
        case End():
            return Kind.END
        case _:
            return Kind.MEDIA


def _end_ns(decoded: InputRecord) -> int:
    match decoded:
        case VideoFrame():
            return decoded.start_ns + 1  # an instant
        case AudioChunk() | SubtitleCue():
            return decoded.end_ns
        case _:
            return decoded.start_ns
