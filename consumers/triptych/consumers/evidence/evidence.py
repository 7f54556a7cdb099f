"""The records that a result rests on, fetched by the offsets that it carries."""

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
_POLL_S: Final = 0.5
_PATIENCE_S: Final = 30.0


class EvidenceGoneError(TriptychError):
    """Say that not all that a result rests on is there any more."""

    exit_code: ClassVar[int] = EXIT_OFFSET_OUT_OF_RANGE


@dataclass(frozen=True, slots=True)
class Exhibit:
    """One record that touches the window: as it lies in the log, and understood."""

    record: Record
    media: MediaRecord


@dataclass(frozen=True, slots=True)
class GatheredEvidence:
    """What was found of one modality.

    Attributes:
        modality: which one.
        report: what the result says of it.
        exhibits: the records, in the order of offsets.
        missing: why some are missing, one line; empty where none is.
    """

    modality: Modality
    report: ModalityReport
    exhibits: tuple[Exhibit, ...] = ()
    missing: str = ""


@dataclass(frozen=True, slots=True)
class Case:
    """A result, and where the picture lies that stands in for a window without one: with an earlier window's."""

    delivery: Delivery
    held: ModalityReport | None


def find_case(subscriber: Subscriber, result_id: str) -> Case:
    """Return the result of an id; raise `UsageError` where there is none."""
    if not _ID.match(result_id):
        raise UsageError(f"result id: expected STREAM/START-END/REVISION, got {result_id!r}")
    stream, _, window = result_id.partition("/")
    start_ns = int(window.partition("-")[0])
    sought: Delivery | None = None
    before: Result | None = None
    for delivery in subscriber.results(stream, until_end=True, revisions="all").deliveries():
        result = delivery.result
        if result.id == result_id:
            sought = delivery
        elif result.start_ns < start_ns and result.modalities.video.offsets and not result.revision:
            # What came late stood in for nothing, so revisions are passed over.
            before = result if before is None else max(before, result, key=lambda result: result.start_ns)
    if sought is None:
        raise UsageError(f"result {result_id}: not among those kept; Kafka keeps them longer than Redis (--from kafka)")
    held = sought.result.modalities.video.state == "held"
    return Case(sought, before.modalities.video if held and before else None)


def gather(transport: Transport, case: Case) -> tuple[GatheredEvidence, ...]:
    """Fetch what the result rests on, as far as it is still there."""
    return tuple(_gathered(transport, case, modality) for modality in MODALITIES)


def _gathered(transport: Transport, case: Case, modality: Modality) -> GatheredEvidence:
    result = case.delivery.result
    report: ModalityReport = getattr(result.modalities, modality)
    if report.state == "held":
        return _held(transport, case, report)
    if report.offsets is None or report.partition is None:
        return GatheredEvidence(modality, report)
    tp = TopicPartition(TOPIC_OF[modality], report.partition)
    log = _look(transport, tp, *report.offsets)
    exhibits = tuple(exhibit for exhibit in _media(log.records, result, modality) if _touches(exhibit.media, result))
    return GatheredEvidence(modality, report, exhibits, _why_missing(tp, report, log, len(exhibits)))


def _held(transport: Transport, case: Case, report: ModalityReport) -> GatheredEvidence:
    """Fetch the last picture of the last window before that has one: the one that stands in."""
    if case.held is None or case.held.offsets is None or case.held.partition is None:
        return GatheredEvidence(
            "video", report, missing="the window whose picture stands in is no longer among the results"
        )
    tp = TopicPartition(TOPIC_OF["video"], case.held.partition)
    log = _look(transport, tp, *case.held.offsets)
    pictures = sorted(_media(log.records, case.delivery.result, "video"), key=lambda exhibit: exhibit.media.start_ns)
    missing = "" if pictures else f"the picture that stands in is gone from {tp.topic} {tp.partition}"
    return GatheredEvidence("video", report, tuple(pictures[-1:]), missing)


@dataclass(frozen=True, slots=True)
class _Look:
    """What a partition holds of a range of offsets, and where it begins and ends."""

    records: Sequence[Record]
    begin: int
    end: int


def _look(transport: Transport, tp: TopicPartition, first: int, last: int) -> _Look:
    reader = transport.reader({tp: first})
    try:
        begin, end = reader.begin_offsets([tp])[tp], reader.end_offsets([tp])[tp]
        return _Look(_read(reader, tp, max(begin, first), min(end - 1, last)), begin, end)
    finally:
        reader.close()


def _read(reader: Reader, tp: TopicPartition, first: int, last: int) -> Sequence[Record]:
    """Read offsets `first` to `last` of a partition."""
    found: list[Record] = []
    if first > last:
        return found
    reader.seek(tp, first)
    until_s = time.monotonic() + _PATIENCE_S
    while reader.position(tp) <= last:
        records = reader.poll(_POLL_S).records
        found += (record for record in records if record.offset <= last)
        if records:
            until_s = time.monotonic() + _PATIENCE_S
        elif time.monotonic() >= until_s:
            raise BrokerUnavailableError(f"{tp.topic} {tp.partition}: no record came for {_PATIENCE_S:g} s")
    return found


def _media(records: Sequence[Record], result: Result, modality: Modality) -> Iterator[Exhibit]:
    """Choose the media of the result's stream, each once."""
    seen: set[tuple[str, str]] = set()
    for record in records:
        if record.key != result.stream.encode():
            continue
        try:
            media = decode(record.key, record.value, record.headers, modality=modality)
        except MalformedRecordError:
            continue  # it lies among the dead letters, and the result rests on the others
        if not isinstance(media, Progress | End) and (media.source, media.id) not in seen:
            seen.add((media.source, media.id))
            yield Exhibit(record, media)


def _touches(media: MediaRecord, result: Result) -> bool:
    if isinstance(media, VideoFrame):
        return result.start_ns <= media.start_ns < result.end_ns
    return media.start_ns < result.end_ns and result.start_ns < media.end_ns


def _why_missing(tp: TopicPartition, report: ModalityReport, log: _Look, found: int) -> str:
    if report.offsets is None or found >= report.items:
        return ""
    first, last = report.offsets
    lacking = f"{report.items - found} of {report.items} records are missing"
    if log.begin > first:
        gone = f"offsets {first} to {min(log.begin - 1, last)}"
        return f"{lacking}: retention has taken {gone} of {tp.topic} {tp.partition}"
    if log.end <= last:
        return f"{lacking}: {tp.topic} {tp.partition} ends before offset {last}; it was made anew since"
    return f"{lacking} between offsets {first} and {last} of {tp.topic} {tp.partition}"
