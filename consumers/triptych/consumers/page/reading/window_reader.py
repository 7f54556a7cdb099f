"""Read all about one window: its result as published, the records that it rests on, its sound. Blocks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from triptych.consumers.describing.chat.media import reduced_picture
from triptych.consumers.evidence.evidence import EvidenceRecord, EvidenceRequest, GatheredEvidence, gather_evidence
from triptych.consumers.page.api_types import (
    AttributionSlice,
    EvidenceRow,
    ModalityName,
    PictureLink,
    RevisionRow,
    SeenBox,
    WindowAttribution,
    WindowBody,
)
from triptych.consumers.page.problems import not_found
from triptych.consumers.page.reading.byte_cache import ByteCache
from triptych.consumers.page.reading.sound import waveform, window_sound
from triptych.consumers.page.state.bodies import description_body, feed_path, modality_shares, seen_boxes, to_ms
from triptych.consumers.page.state.newest_window import pixel_boxes
from triptych.consumers.page.state.seen_window import PictureRange, SeenWindow
from triptych.consumers.subscription.log_reading import read_range
from triptych.consumers.subscription.result_buffer import Delivery
from triptych.schemas.codec import decode_result
from triptych.schemas.errors import MalformedRecordError
from triptych.schemas.names import Modality, results_topic
from triptych.schemas.perception.descriptions import Description
from triptych.schemas.records import AudioChunk, SubtitleCue, VideoFrame
from triptych.schemas.results import ModalityReport, Result
from triptych.transport.protocols import Transport
from triptych.transport.records import TopicPartition

_NAME_OF: Final[dict[Modality, ModalityName]] = {"video": "video", "audio": "audio", "subtitles": "text"}
_RESULTS_AT_ONCE: Final = 5_000
_MOST_RESULTS: Final = 200_000
"""So many are read for one request at most. A minute of 2,000 feeds has 60,000 windows of two seconds."""
_MOST_ROWS: Final = 2_000
_KEEP: Final = "raise retention.ms of the results topic to keep results for longer"
_UNREDUCED: Final = 1 << 16
_KNOWN_RANGES_BYTES: Final = 4 << 20
_WINDOW_BYTES: Final = 200
"""About what the two times of a window take in memory."""


@dataclass(frozen=True, slots=True)
class WindowWanted:
    """Which window of a feed, and what is known of it.

    Attributes:
        feed: the feed.
        start_ns: its start.
        end_ns: its end.
        partition: the partition of the results topic with its result.
        offsets: the first and the last offset between which its result is.
        held: the pictures of the last window before it that had some; None if that is not known.
        revisions: its revisions as far as they were seen.
    """

    feed: str
    start_ns: int
    end_ns: int
    partition: int
    offsets: tuple[int, int]
    held: PictureRange | None
    revisions: tuple[tuple[int, int, str, int], ...]

    @property
    def window_id(self) -> str:
        """The window's id within its feed."""
        return f"{self.start_ns}-{self.end_ns}"


@dataclass(frozen=True, slots=True)
class WindowFound:
    """What was found of a window. `wav` is its sound; None if there is none."""

    delivery: Delivery
    gathered: tuple[GatheredEvidence, ...]
    wav: bytes | None


def window_wanted(feed: str, start_ns: int, end_ns: int, row: SeenWindow, held: PictureRange | None) -> WindowWanted:
    """Return the request for a window that `row` stands for, alone or with others."""
    revisions = row.revised if (row.start_ns, row.end_ns) == (start_ns, end_ns) else ()
    return WindowWanted(feed, start_ns, end_ns, row.place.partition, row.offsets, held, revisions)


class WindowReader:
    """Reads windows, and holds the sounds that were read last. Any thread may use it."""

    def __init__(self, transport: Transport, pipeline: str, sounds: ByteCache[bytes]) -> None:
        """Read nothing yet. The caller closes `transport`."""
        self._transport = transport
        self._topic = results_topic(pipeline)
        self._sounds = sounds
        # The windows between two offsets, of ranges that were read to the end in vain: what is asked for, but is not
        # among them, is not read for again. Records never change, so this holds until retention deletes them all.
        self._known = ByteCache[frozenset[tuple[int, int]]](_KNOWN_RANGES_BYTES)

    def result(self, wanted: WindowWanted) -> Delivery:
        """Return the newest revision of a window's result as it was published. Blocks.

        The results of a window that was merged with others are read in parts, the newest part first: a revision comes
        later than what it revises. After one search in vain, further windows that are not there cost nothing.

        Raises:
            PageProblemError: retention has deleted it, or it is among more results than are read for one request.
            TransportError: the broker does not answer.
        """
        first, last = wanted.offsets
        least = max(first, last + 1 - _MOST_RESULTS)
        looked_through = (wanted.feed, wanted.partition, least, last)
        known = self._known.get(looked_through)
        if known is None or (wanted.start_ns, wanted.end_ns) in known:
            seen: set[tuple[int, int]] = set()
            for end in range(last + 1, least, -_RESULTS_AT_ONCE):
                found = self._newest(wanted, (max(least, end - _RESULTS_AT_ONCE), end - 1), seen)
                if found is not None:
                    return found
            self._known.put(looked_through, frozenset(seen), _WINDOW_BYTES * (1 + len(seen)))
        if least > first:
            raise not_found(
                f"window {wanted.window_id} is not among the last {_MOST_RESULTS:,} of {last + 1 - first:,} results "
                "that were published at about its time",
                "`triptych evidence RESULT --from kafka` looks through all of them",
            )
        raise not_found(f"there is no result of window {wanted.window_id} any more", _KEEP)

    def body(self, wanted: WindowWanted, description: Description | None) -> WindowBody:
        """Return all about a window. Blocks. Raises as `result` does."""
        found = self._find(wanted)
        result = found.delivery.result
        document: dict[str, Any] = json.loads(found.delivery.document)
        trace_id = document.get("trace_id")
        items = [item for gathered in found.gathered for item in gathered.items]
        pictures, boxes = _pictures(result, items)
        sound_url = f"{feed_path(wanted.feed)}/windows/{wanted.window_id}/sound"
        return WindowBody(
            result=document,
            records=tuple(_row(gathered, item) for gathered in found.gathered for item in gathered.items)[:_MOST_ROWS],
            missing=tuple(
                f"{_NAME_OF[gathered.modality]}: {gathered.missing}" for gathered in found.gathered if gathered.missing
            ),
            revisions=_revisions(wanted, result),
            attribution=_attribution(result),
            trace_id=trace_id if isinstance(trace_id, str) else None,
            description=None if description is None else description_body(description),
            pictures=pictures,
            boxes=boxes,
            sound_url=None if found.wav is None else sound_url,
            waveform=None if found.wav is None else waveform(found.wav),
        )

    def sound(self, wanted: WindowWanted) -> bytes:
        """Return the sound of a window as a WAV file. Blocks.

        Raises:
            PageProblemError: the window has no sound, or it was deleted.
            TransportError: the broker does not answer.
        """
        held = self._sounds.get(wanted)
        wav = self._find(wanted).wav if held is None else held
        if wav is None:
            raise not_found("the window has no sound that can be played", "`triptych evidence` fetches its records")
        return wav

    def _find(self, wanted: WindowWanted) -> WindowFound:
        delivery = self.result(wanted)
        where = wanted.held
        report = None
        if where is not None and delivery.result.modalities.video.state == "held":
            report = ModalityReport(state="present", partition=where.partition, offsets=(where.first, where.last))
        gathered = gather_evidence(self._transport, EvidenceRequest(delivery, report))
        chunks = [item.media for found in gathered for item in found.items if isinstance(item.media, AudioChunk)]
        wav = window_sound(chunks, delivery.result)
        if wav is not None:
            self._sounds.put(wanted, wav, len(wav))
        return WindowFound(delivery, gathered, wav)

    def _newest(self, wanted: WindowWanted, offsets: tuple[int, int], seen: set[tuple[int, int]]) -> Delivery | None:
        """Return the newest revision of a window between two offsets, both included. Add to `seen` what is there."""
        found: Delivery | None = None
        for delivery in self._deliveries(wanted.feed, TopicPartition(self._topic, wanted.partition), *offsets):
            result = delivery.result
            seen.add((result.start_ns, result.end_ns))
            if (result.start_ns, result.end_ns) == (wanted.start_ns, wanted.end_ns) and (
                found is None or result.revision >= found.result.revision
            ):
                found = delivery
        return found

    def _deliveries(self, feed: str, tp: TopicPartition, first: int, last: int) -> Iterator[Delivery]:
        for record in read_range(self._transport, {tp: (first, last)}):
            if record.key != feed.encode():
                continue
            try:
                yield Delivery(decode_result(record.key, record.value, record.headers), record.value)
            except MalformedRecordError:
                continue  # the follower has counted it


def _row(gathered: GatheredEvidence, item: EvidenceRecord) -> EvidenceRow:
    media, record = item.media, item.record
    return EvidenceRow(
        modality=_NAME_OF[gathered.modality],
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        at_ms=to_ms(media.start_ns),
        end_ms=None if isinstance(media, VideoFrame) else to_ms(media.end_ns),
        appended_ms=to_ms(record.arrival_ns),
        bytes=record.size_bytes,
        text=media.text if isinstance(media, SubtitleCue) else None,
    )


def _pictures(result: Result, items: list[EvidenceRecord]) -> tuple[tuple[PictureLink, ...], tuple[SeenBox, ...]]:
    """Return the pictures of a window in the order of their times, and the boxes of all that have some."""
    links: list[PictureLink] = []
    size: tuple[int, int] | None = None
    for item in sorted(items, key=lambda item: item.media.start_ns):
        if not isinstance(item.media, VideoFrame):
            continue
        picture = reduced_picture(item.media, _UNREDUCED)  # reads its size; nothing is decoded
        if picture is None or picture.width is None or picture.height is None:
            continue
        size = (picture.width, picture.height)
        url = f"{feed_path(result.stream)}/pictures/{item.record.partition}/{item.record.offset}"
        at_ms = to_ms(item.media.start_ns)
        links.append(PictureLink(url=url, at_ms=at_ms, width=picture.width, height=picture.height))
    return tuple(links), seen_boxes(pixel_boxes(result), size)


def _revisions(wanted: WindowWanted, result: Result) -> tuple[RevisionRow, ...]:
    own = (result.revision, result.published_ns, result.closed_by, 0)
    rows = wanted.revisions if any(row[0] == result.revision for row in wanted.revisions) else (own,)
    return tuple(
        RevisionRow(revision=number, published_ms=to_ms(published_ns), closed_by=closed_by, added=added)
        for number, published_ns, closed_by, added in rows
    )


def _attribution(result: Result) -> WindowAttribution | None:
    if result.shares is None and not result.when:
        return None
    return WindowAttribution(
        shares=modality_shares(result.shares),
        slices=tuple(
            AttributionSlice(start_ms=to_ms(one.start_ns), end_ms=to_ms(one.end_ns), weight=one.contribution)
            for one in result.when
        ),
    )
