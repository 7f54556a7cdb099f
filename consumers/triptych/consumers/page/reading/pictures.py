"""Read one picture of a feed, and reduce it. Blocks; runs in threads."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Final

from triptych.consumers.describing.chat.media import reduced_picture
from triptych.consumers.page.problems import not_found
from triptych.consumers.page.reading.byte_cache import ByteCache
from triptych.consumers.subscription.log_reading import read_range
from triptych.schemas.codec import decode
from triptych.schemas.errors import MalformedRecordError
from triptych.schemas.names import VIDEO_TOPIC
from triptych.schemas.records import VideoFrame
from triptych.transport.protocols import Transport
from triptych.transport.records import Record, TopicPartition

WIDTHS: Final = (160, 320, 640, 1_280)
"""The longest edges in pixels to which pictures are reduced. Few, so that they are shared between clients."""
_UNREDUCED: Final = 1 << 16
_MOST_RECORDS: Final = 2_000
_MOST_BYTES: Final = 64 << 20
"""How much of a partition is read at most to find a picture by its time."""


@dataclass(frozen=True, slots=True)
class PictureWanted:
    """Which picture: the one at `offset`, or, with `at_ns`, the nearest to that time from the offset `first` on."""

    feed: str
    partition: int
    offset: int
    first: int | None = None
    at_ns: int | None = None
    longest_edge: int | None = None


@dataclass(frozen=True, slots=True)
class FoundPicture:
    """A picture, its time, and the size of the picture as it was sent."""

    content_type: str
    data: bytes
    at_ns: int
    size: tuple[int, int]


class PictureReader:
    """Reads pictures, and holds those that were read last."""

    def __init__(self, transport: Transport, cache: ByteCache[FoundPicture]) -> None:
        """Read nothing yet. The caller closes `transport`."""
        self._transport = transport
        self._cache = cache

    def read(self, wanted: PictureWanted) -> FoundPicture:
        """Return a picture. Blocks while the broker answers.

        Raises:
            PageProblemError: there is no such picture of the feed any more, or it cannot be decoded.
            TransportError: the broker does not answer.
        """
        held = self._cache.get(wanted)
        if held is not None:
            return held
        frame = self._frame(wanted)
        reduced = reduced_picture(frame, wanted.longest_edge or _UNREDUCED)
        if reduced is None or reduced.width is None or reduced.height is None:
            raise not_found("the picture cannot be decoded", "`triptych evidence` fetches the record as it was sent")
        found = FoundPicture(reduced.content_type, reduced.data, frame.start_ns, (reduced.width, reduced.height))
        self._cache.put(wanted, found, len(found.data))
        return found

    def _frame(self, wanted: PictureWanted) -> VideoFrame:
        frames = self._frames(wanted)
        if wanted.at_ns is None:
            frame = next(frames, None)
        else:
            at_ns = wanted.at_ns
            frame = min(frames, key=lambda frame: abs(frame.start_ns - at_ns), default=None)
        if frame is None:
            raise not_found(
                "there is no such picture of this feed: retention has deleted it, or it belongs to another feed",
                "raise retention.ms of triptych.video to keep pictures for longer",
            )
        return frame

    def _frames(self, wanted: PictureWanted) -> Iterator[VideoFrame]:
        """Return the frames of the feed among the wanted records. Other feeds share the partition."""
        first = wanted.offset if wanted.at_ns is None or wanted.first is None else wanted.first
        first = max(first, wanted.offset - _MOST_RECORDS)
        read_bytes = 0
        tp = TopicPartition(VIDEO_TOPIC, wanted.partition)
        with closing(_records(self._transport, tp, first, wanted.offset)) as records:
            for record in records:
                read_bytes += record.size_bytes
                if record.key != wanted.feed.encode():
                    continue
                frame = _decoded(record)
                if frame is not None:
                    yield frame
                if read_bytes > _MOST_BYTES:
                    return


def _records(transport: Transport, tp: TopicPartition, first: int, last: int) -> Generator[Record]:
    yield from read_range(transport, {tp: (first, last)})


def _decoded(record: Record) -> VideoFrame | None:
    try:
        media = decode(record.key, record.value, record.headers, modality="video")
    except MalformedRecordError:
        return None  # it was dead-lettered
    return media if isinstance(media, VideoFrame) else None
