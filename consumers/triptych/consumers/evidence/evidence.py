"""Fetch the records behind a result, by the offsets that the result carries."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

from triptych.consumers.subscription.result_buffer import Delivery
from triptych.consumers.subscription.subscriber import Subscriber
from triptych.schemas.codec import decode
from triptych.schemas.errors import MalformedRecordError, TriptychError, UsageError
from triptych.schemas.names import MODALITIES, STREAM_PATTERN, TOPIC_OF, Modality
from triptych.schemas.records import End, MediaRecord, Progress, VideoFrame
from triptych.schemas.results import ModalityReport, Result
from triptych.transport.errors import EXIT_OFFSET_OUT_OF_RANGE, BrokerUnavailableError
from triptych.transport.protocols import Reader, Transport
from triptych.transport.records import Record, TopicPartition

_ID: Final = re.compile(rf"{STREAM_PATTERN[:-1]}/[0-9]{{1,19}}-[0-9]{{1,19}}/[0-9]{{1,19}}$")
_POLL_TIMEOUT_S: Final = 0.5
_MAX_SILENCE_S: Final = 30.0


class EvidenceGoneError(TriptychError):
    """Some records behind a result no longer exist."""

    exit_code: ClassVar[int] = EXIT_OFFSET_OUT_OF_RANGE


@dataclass(frozen=True, slots=True)
class EvidenceRecord:
    """One record that overlaps the window: the log record, and the decoded media."""

    record: Record
    media: MediaRecord


@dataclass(frozen=True, slots=True)
class GatheredEvidence:
    """What was found of one modality.

    Attributes:
        modality: the modality.
        report: the result's report of it.
        items: the records, in offset order.
        missing: why some are missing, in one line; empty if none is.
    """

    modality: Modality
    report: ModalityReport
    items: tuple[EvidenceRecord, ...] = ()
    missing: str = ""


@dataclass(frozen=True, slots=True)
class EvidenceRequest:
    """A result, and where to find its evidence.

    `held` is the report of an earlier window, whose last frame was used for this window; None if no frame was held.
    """

    delivery: Delivery
    held: ModalityReport | None


def find_evidence(subscriber: Subscriber, result_id: str) -> EvidenceRequest:
    """Find the result with an id. Raises `UsageError` if there is none."""
    if not _ID.match(result_id):
        raise UsageError(f"result id: expected STREAM/START-END/REVISION, got {result_id!r}")
    stream, _, window = result_id.partition("/")
    start_ns = int(window.partition("-")[0])
    found: Delivery | None = None
    before: Result | None = None
    for delivery in subscriber.results(stream, until_end=True, revisions="all").deliveries():
        result = delivery.result
        if result.id == result_id:
            found = delivery
        elif result.start_ns < start_ns and result.modalities.video.offsets and not result.revision:
            # Late frames were never held, so skip revisions.
            before = result if before is None else max(before, result, key=lambda result: result.start_ns)
    if found is None:
        raise UsageError(f"result {result_id}: not found; Kafka keeps results longer than Redis (--from kafka)")
    held = found.result.modalities.video.state == "held"
    return EvidenceRequest(found, before.modalities.video if held and before else None)


def gather_evidence(transport: Transport, request: EvidenceRequest) -> tuple[GatheredEvidence, ...]:
    """Fetch the records behind the result that still exist. Raises `BrokerUnavailableError`."""
    return tuple(_gather_modality(transport, request, modality) for modality in MODALITIES)


def _gather_modality(transport: Transport, request: EvidenceRequest, modality: Modality) -> GatheredEvidence:
    result = request.delivery.result
    report: ModalityReport = getattr(result.modalities, modality)
    if report.state == "held":
        return _gather_held_frame(transport, request, report)
    if report.offsets is None or report.partition is None:
        return GatheredEvidence(modality, report)
    tp = TopicPartition(TOPIC_OF[modality], report.partition)
    log = _read_log_range(transport, tp, *report.offsets)
    items = tuple(item for item in _media(log.records, result, modality) if _overlaps(item.media, result))
    return GatheredEvidence(modality, report, items, _why_missing(tp, report, log, len(items)))


def _gather_held_frame(transport: Transport, request: EvidenceRequest, report: ModalityReport) -> GatheredEvidence:
    """Fetch the held frame: the last one of the last earlier window that has frames."""
    if request.held is None or request.held.offsets is None or request.held.partition is None:
        return GatheredEvidence(
            "video", report, missing="the window with the held frame is no longer among the results"
        )
    tp = TopicPartition(TOPIC_OF["video"], request.held.partition)
    log = _read_log_range(transport, tp, *request.held.offsets)
    frames = sorted(_media(log.records, request.delivery.result, "video"), key=lambda item: item.media.start_ns)
    missing = "" if frames else f"the held frame was deleted from {tp.topic} {tp.partition}"
    return GatheredEvidence("video", report, tuple(frames[-1:]), missing)


@dataclass(frozen=True, slots=True)
class _LogRange:
    """The records of a partition within a range of offsets, and where the partition begins and ends."""

    records: Sequence[Record]
    begin: int
    end: int


def _read_log_range(transport: Transport, tp: TopicPartition, first: int, last: int) -> _LogRange:
    reader = transport.reader({tp: first})
    try:
        begin, end = reader.begin_offsets([tp])[tp], reader.end_offsets([tp])[tp]
        return _LogRange(_read(reader, tp, max(begin, first), min(end - 1, last)), begin, end)
    finally:
        reader.close()


def _read(reader: Reader, tp: TopicPartition, first: int, last: int) -> Sequence[Record]:
    """Read the offsets `first` to `last` of a partition."""
    found: list[Record] = []
    if first > last:
        return found
    reader.seek(tp, first)
    deadline_s = time.monotonic() + _MAX_SILENCE_S
    while reader.position(tp) <= last:
        records = reader.poll(_POLL_TIMEOUT_S).records
        found += (record for record in records if record.offset <= last)
        if records:
            deadline_s = time.monotonic() + _MAX_SILENCE_S
        elif time.monotonic() >= deadline_s:
            raise BrokerUnavailableError(f"{tp.topic} {tp.partition}: no record came for {_MAX_SILENCE_S:g} s")
    return found


def _media(records: Sequence[Record], result: Result, modality: Modality) -> Iterator[EvidenceRecord]:
    """Return the media of the result's stream, without duplicates."""
    seen: set[tuple[str, str]] = set()
    for record in records:
        if record.key != result.stream.encode():
            continue
        try:
            media = decode(record.key, record.value, record.headers, modality=modality)
        except MalformedRecordError:
            continue  # it was dead-lettered, so the result does not include it
        if not isinstance(media, Progress | End) and (media.source, media.id) not in seen:
            seen.add((media.source, media.id))
            yield EvidenceRecord(record, media)


def _overlaps(media: MediaRecord, result: Result) -> bool:
    if isinstance(media, VideoFrame):
        return result.start_ns <= media.start_ns < result.end_ns
    return media.start_ns < result.end_ns and result.start_ns < media.end_ns


def _why_missing(tp: TopicPartition, report: ModalityReport, log: _LogRange, found: int) -> str:
    if report.offsets is None or found >= report.items:
        return ""
    first, last = report.offsets
    missing = f"{report.items - found} of {report.items} records are missing"
    if log.begin > first:
        deleted = f"offsets {first} to {min(log.begin - 1, last)}"
        return f"{missing}: retention deleted {deleted} of {tp.topic} {tp.partition}"
    if log.end <= last:
        return f"{missing}: {tp.topic} {tp.partition} ends before offset {last}; it was recreated since"
    return f"{missing} between offsets {first} and {last} of {tp.topic} {tp.partition}"
