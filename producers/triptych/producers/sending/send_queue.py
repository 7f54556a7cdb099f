"""The records of all feeds that wait to be sent, or to be acknowledged: bounded in bytes and age, in order. Pure.

Each track keeps its order. Between tracks, the oldest record goes first, but sound may overtake pictures, and words
both, by a fixed time: on a slow link they are not late, and after an outage no track waits for long behind another.

Beyond a limit the oldest media are dropped: pictures first, then sound, then words. Control records never are. In place
of what was dropped a `progress` record stays, with its watermark: so the worker need not wait for what does not come.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from typing import Final

from triptych.producers.sending.limits import SendLimits
from triptych.producers.session.track_records import PROGRESS_INTERVAL_NS
from triptych.schemas.names import Modality
from triptych.schemas.records import AudioChunk, InputRecord, Progress, SubtitleCue, VideoFrame
from triptych.units import NS_PER_S

HEAD_START_NS: Final[dict[Modality, int]] = {"video": 0, "audio": 10 * NS_PER_S, "subtitles": 20 * NS_PER_S}
"""By how much a record may overtake older ones of the modalities before it."""

DROP_ORDER: Final[tuple[Modality, ...]] = ("video", "audio", "subtitles")
STALLED_NS: Final = 4 * NS_PER_S
"""A track whose oldest record is unacknowledged for so long gets no more, and does not hold up the others: the leader
of its partition may be away, while those of the others answer."""

BUSY_NS: Final = 3 * NS_PER_S // 2
"""While a record is in flight for so long, the link gets no more pictures and sound: it has enough for the moment."""

_OVERHEAD_BYTES: Final = 2_048
"""The memory of a record besides its media."""


@dataclass(slots=True, eq=False)
class QueuedRecord:
    """A record that is kept.

    Attributes:
        record: what to send.
        track: its track.
        size_bytes: how much it counts.
        offered_ns: when it came.
        handed_ns: when it was handed to the transport last.
        delivered_before: how much of the program's records was acknowledged before that, in bytes.
        is_marker: whether it stands in for dropped records.
    """

    record: InputRecord
    track: QueuedTrack
    size_bytes: int
    offered_ns: int
    handed_ns: int = 0
    delivered_before: int = 0
    is_marker: bool = False

    @property
    def is_media(self) -> bool:
        """Whether it may be dropped, if its feed drops at all."""
        return isinstance(self.record, VideoFrame | AudioChunk | SubtitleCue)

    @property
    def is_small(self) -> bool:
        """Whether it needs next to no room."""
        return not isinstance(self.record, VideoFrame | AudioChunk)


@dataclass(slots=True, eq=False)
class QueuedTrack:
    """The kept records of one modality of a feed, in order: those in flight came before those that wait.

    Attributes:
        feed: whose track it is.
        modality: of its records.
        drops: whether records may be dropped; otherwise the feed waits for room.
        waiting: records to send.
        in_flight: records that were sent and are not acknowledged.
        kept_bytes: the size of both.
        sent_watermark_ns: the watermark of the record that was sent last.
        is_closed: whether no more records come.
    """

    feed: Hashable
    modality: Modality
    drops: bool
    waiting: deque[QueuedRecord] = field(default_factory=deque)
    in_flight: dict[int, QueuedRecord] = field(default_factory=dict)

    kept_bytes: int = 0
    sent_watermark_ns: int = 0
    is_closed: bool = False

    def oldest_ns(self) -> int | None:
        """Return when the oldest kept record came."""
        oldest = next(iter(self.in_flight.values()), None) or (self.waiting[0] if self.waiting else None)
        return None if oldest is None else oldest.offered_ns

    def oldest_media(self) -> int | None:
        """Return the index of the oldest waiting record that may be dropped. Those before it are control records."""
        if not self.drops:
            return None
        return next((index for index, one in enumerate(self.waiting) if one.is_media), None)

    def is_stalled(self, now_ns: int, *, for_ns: int = STALLED_NS) -> bool:
        """Return whether a record was not acknowledged for so long."""
        oldest = next(iter(self.in_flight.values()), None)
        return oldest is not None and now_ns - oldest.handed_ns > for_ns


class SendQueue:
    """The kept records of all feeds. All times are of one monotonic clock."""

    def __init__(self, limits: SendLimits) -> None:
        """Start empty."""
        self._limits = limits
        self._tracks: dict[tuple[Hashable, Modality], QueuedTrack] = {}
        self._ready: dict[QueuedTrack, None] = {}  # those in which something waits; a set that keeps its order
        self._stalled: set[QueuedTrack] = set()
        self._stalled_bytes = 0
        self._is_busy = False
        self.kept_bytes = 0
        self.droppable_bytes = 0
        self.in_flight_bytes = 0
        self.window_bytes = limits.max_in_flight_bytes
        self.was_limited = False

    def offer(self, feed: Hashable, record: InputRecord, now_ns: int, *, drops: bool) -> None:
        """Append a record to its track. `drop_excess` and `drop_old` then drop what exceeds the limits."""
        key = feed, record.modality
        track = self._tracks.get(key)
        if track is None:
            track = self._tracks[key] = QueuedTrack(feed, record.modality, drops)
        last = track.waiting[-1] if track.waiting else None
        if isinstance(record, Progress) and last is not None and _is_same_progress(last.record, record):
            last.record = record  # at its place in the order: otherwise the watermark would wait for ever
            return
        self._add(track, QueuedRecord(record, track, _size_of(record), now_ns))

    def drop_excess(self) -> list[QueuedRecord]:
        """Drop what is too much; return it in the order of dropping."""
        dropped: list[QueuedRecord] = []
        while self.droppable_bytes > self._limits.max_bytes and (one := self._drop_oldest()) is not None:
            dropped.append(one)
        return dropped

    def drop_old(
        self, now_ns: int, *, picture_age_ns: int | None = None, sound_age_ns: int | None = None
    ) -> list[QueuedRecord]:
        """Drop what is too old; return it. Call it several times a second: it also finds the stalled tracks.

        Args:
            now_ns: the time.
            picture_age_ns: how old pictures may be, if less than the maximum.
            sound_age_ns: how old sound may be, if less than the maximum.
        """
        self._refresh_stalled(now_ns)
        max_ns = self._limits.max_lag_ns
        dropped: list[QueuedRecord] = []
        for modality, age_ns in (("video", picture_age_ns), ("audio", sound_age_ns)):
            since_ns = now_ns - (max_ns if age_ns is None else min(max_ns, age_ns))
            for track in self._ready:
                if track.modality == modality:
                    dropped += self._drop_older(track, since_ns)
        return dropped

    def take(self, now_ns: int) -> QueuedRecord | None:
        """Return the record to send next, which then is in flight; None where there is none, or it must wait.

        Words and control records, which are small, need not wait for larger ones that have no room yet.
        """
        first: dict[bool, QueuedRecord] = {}
        for track in self._ready:
            if track not in self._stalled:
                one = self._candidate(track)
                best = first.get(one.is_small)
                if best is None or _order_of(one) < _order_of(best):
                    first[one.is_small] = one
        for one in sorted(first.values(), key=_order_of):
            if self._has_room(one):
                self._hand_over(one, now_ns)
                return one
            self.was_limited = True
        return None

    def settle(self, one: QueuedRecord) -> None:
        """Forget a record in flight: it was acknowledged, or will never be."""
        if one.track.in_flight.pop(id(one), None) is not None:
            self.in_flight_bytes -= one.size_bytes
            self._remove_size(one)
            self._forget_if_over(one.track)
            if one.track in self._stalled:
                self._stalled.discard(one.track)  # it answers again
                self._stalled_bytes -= one.size_bytes + sum(each.size_bytes for each in one.track.in_flight.values())

    def give_back(self, one: QueuedRecord) -> None:
        """Put a record that the transport did not take back to the front of its track."""
        del one.track.in_flight[id(one)]
        self.in_flight_bytes -= one.size_bytes
        one.track.waiting.appendleft(one)
        self._ready[one.track] = None

    def clear(self, feed: Hashable | None = None) -> list[QueuedRecord]:
        """Drop everything of a feed, or of all, that waits; return it."""
        dropped: list[QueuedRecord] = []
        for track in list(self._ready):
            if feed is None or track.feed == feed:
                while track.waiting:
                    one = track.waiting.popleft()
                    self._remove_size(one)
                    dropped += [] if one.is_marker else [one]
                self._ready.pop(track, None)
        return dropped

    def close(self, feed: Hashable) -> None:
        """Mark a feed as complete: no more records of it will come.

        Its tracks are forgotten once nothing is kept of them.
        """
        for track in list(self.tracks_of(feed)):
            track.is_closed = True
            self._forget_if_over(track)

    def is_empty(self) -> bool:
        """Return whether nothing waits."""
        return not self._ready

    def tracks_of(self, feed: Hashable) -> Iterator[QueuedTrack]:
        """Yield the tracks of a feed."""
        for modality in DROP_ORDER:
            track = self._tracks.get((feed, modality))
            if track is not None:
                yield track

    def oldest_waiting_ns(self) -> int | None:
        """Return when the oldest picture, sound or words came that wait and may be dropped."""
        media = ((track, track.oldest_media()) for track in self._ready if track not in self._stalled)
        return min((track.waiting[index].offered_ns for track, index in media if index is not None), default=None)

    def oldest_in_flight_ns(self) -> int | None:
        """Return when the oldest record in flight was handed over."""
        heads = (next(iter(track.in_flight.values()), None) for track in self._tracks.values())
        return min((one.handed_ns for one in heads if one is not None), default=None)

    def _forget_if_over(self, track: QueuedTrack) -> None:
        if track.is_closed and not track.waiting and not track.in_flight:
            self._tracks.pop((track.feed, track.modality), None)

    def _candidate(self, track: QueuedTrack) -> QueuedRecord:
        """Return the record of a track to send next: not a marker where a record of its session can go at once."""
        one, *_ = track.waiting
        following = track.waiting[1] if len(track.waiting) > 1 else None
        if not one.is_marker or following is None or following.record.session != one.record.session:
            return one
        is_due = one.record.watermark_ns >= track.sent_watermark_ns + PROGRESS_INTERVAL_NS
        return one if is_due and not self._has_room(following) else following

    def _hand_over(self, one: QueuedRecord, now_ns: int) -> None:
        track = one.track
        while (other := track.waiting.popleft()) is not one:
            self._remove_size(other)  # a marker: the record has a later watermark
        if not track.waiting:
            del self._ready[track]
        one.handed_ns = now_ns
        track.in_flight[id(one)] = one
        track.sent_watermark_ns = one.record.watermark_ns
        self.in_flight_bytes += one.size_bytes

    def _has_room(self, one: QueuedRecord) -> bool:
        if not self.in_flight_bytes:
            return True
        fits = self.in_flight_bytes + one.size_bytes <= self._limits.max_in_flight_bytes
        if one.is_small:
            return fits
        responsive_bytes = self.in_flight_bytes - self._stalled_bytes
        if not fits or not responsive_bytes:
            return fits
        return not self._is_busy and responsive_bytes + one.size_bytes <= self.window_bytes

    def _refresh_stalled(self, now_ns: int) -> None:
        self._stalled = {track for track in self._tracks.values() if track.is_stalled(now_ns)}
        self._stalled_bytes = sum(one.size_bytes for track in self._stalled for one in track.in_flight.values())
        others = (track for track in self._tracks.values() if track not in self._stalled)
        self._is_busy = any(track.is_stalled(now_ns, for_ns=BUSY_NS) for track in others)

    def _drop_older(self, track: QueuedTrack, since_ns: int) -> Iterator[QueuedRecord]:
        while (index := track.oldest_media()) is not None and track.waiting[index].offered_ns < since_ns:
            yield self._drop(track, index)

    def _drop_oldest(self) -> QueuedRecord | None:
        """Drop the oldest picture of all feeds; without pictures the oldest sound, then words."""
        for modality in DROP_ORDER:
            found = [
                (track.waiting[index].offered_ns, place, track, index)
                for place, track in enumerate(self._ready)
                if track.modality == modality and (index := track.oldest_media()) is not None
            ]
            if found:
                _, _, track, index = min(found, key=lambda each: each[:2])
                return self._drop(track, index)
        return None

    def _drop(self, track: QueuedTrack, index: int) -> QueuedRecord:
        """Replace a record by a `progress` record with its watermark, merged with the one before it."""
        dropped = track.waiting[index]
        self._remove_size(dropped)
        marker = progress_of(dropped.record)
        before = track.waiting[index - 1] if index else None
        if before is not None and _is_same_progress(before.record, marker):
            before.record, before.is_marker = marker, True
            del track.waiting[index]
        else:
            stand_in = QueuedRecord(marker, track, _size_of(marker), dropped.offered_ns, is_marker=True)
            track.waiting[index] = stand_in
            self._add_size(stand_in)
        return dropped

    def _add(self, track: QueuedTrack, one: QueuedRecord) -> None:
        track.waiting.append(one)
        self._ready[track] = None
        self._add_size(one)

    def _add_size(self, one: QueuedRecord) -> None:
        one.track.kept_bytes += one.size_bytes
        self.kept_bytes += one.size_bytes
        self.droppable_bytes += one.size_bytes if one.track.drops else 0

    def _remove_size(self, one: QueuedRecord) -> None:
        one.track.kept_bytes -= one.size_bytes
        self.kept_bytes -= one.size_bytes
        self.droppable_bytes -= one.size_bytes if one.track.drops else 0


def _order_of(one: QueuedRecord) -> int:
    return one.offered_ns - HEAD_START_NS[one.track.modality]


def progress_of(record: InputRecord) -> Progress:
    """Return the `progress` record that promises what a dropped record did: its track was read so far."""
    return Progress(
        stream=record.stream,
        source=record.source,
        session=record.session,
        tracks=record.tracks,
        id=f"{record.id}/dropped",
        start_ns=record.end_ns if isinstance(record, AudioChunk) else record.start_ns,
        next_ns=record.watermark_ns,
        modality=record.modality,
    )


def _is_same_progress(record: InputRecord, later: Progress) -> bool:
    return isinstance(record, Progress) and record.session == later.session


def _size_of(record: InputRecord) -> int:
    if isinstance(record, VideoFrame | AudioChunk):
        return len(record.data) + _OVERHEAD_BYTES
    return _OVERHEAD_BYTES + (len(record.text) if isinstance(record, SubtitleCue) else 0)
