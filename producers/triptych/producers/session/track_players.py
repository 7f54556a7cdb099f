"""One player for each track of one pass: from packets to records, and what to say where the track is silent.

A player is fed its own packets, told how far the whole file has been read, and finished at the file's end. What it
promises stays true whatever follows:

- sampled pictures: the next instant of the grid;
- sound: its own end;
- a cue file: the next cue's start;
- words that a machine hears: the first sound that is not text yet (`transcript.py`);
- captions inside the picture: the start of what is on the screen, which is sent when it leaves it;
- words inside the file, and sound or picture that stay away: the reading position less an allowance, since in real
  files a track does come behind the others, but never before what the decoder still holds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Final, Protocol

from av.packet import Packet
from av.subtitles.stream import SubtitleStream

from triptych.producers.media.audio import AudioReader, PcmChunk
from triptych.producers.media.sampling import Sampler
from triptych.producers.media.video import VideoReader
from triptych.producers.session.track_records import TrackRecords
from triptych.producers.session_timeline import SessionTimeline, ticks_to_ns
from triptych.producers.subtitles.cea608 import CaptionReader
from triptych.producers.subtitles.codecs import text_of
from triptych.producers.subtitles.cue import DEFAULT_DURATION_NS, Cue
from triptych.producers.subtitles.language import language_of
from triptych.schemas.records import AudioChunk, InputRecord

TEXT_INTERLEAVE_NS: Final = 1_000_000_000
"""How far behind picture and sound the words may stand in a file."""

MEDIA_INTERLEAVE_NS: Final = 3_000_000_000
"""How far behind one another picture and sound may stand: in transport streams more than a second was seen."""


class TrackPlayer(Protocol):
    """Play one track of one pass."""

    def feed(self, packet: Packet[Any]) -> Iterator[InputRecord]:
        """Take a packet of this track."""

    def advance(self, position_ns: int) -> Iterator[InputRecord]:
        """Learn up to where the file has been read, and say so where the track is silent."""

    def finish(self, end_ns: int) -> Iterator[InputRecord]:
        """Yield what is left; picture and sound of the pass end at `end_ns` as far as known."""

    @property
    def end_ns(self) -> int:
        """Where this track's media ends, as far as read."""


class VideoPlayer:
    """Play pictures."""

    def __init__(self, reader: VideoReader, records: TrackRecords, sampler: Sampler) -> None:
        self._reader = reader
        self._records = records
        self._sampler = sampler

    @property
    def end_ns(self) -> int:
        """Where the last frame's time is over."""
        return self._reader.end_ns

    def feed(self, packet: Packet[Any]) -> Iterator[InputRecord]:
        """Yield the frames that the packet completes."""
        for picture in self._reader.feed(packet):
            record = self._records.frame(picture, self._sampler.next_instant_ns)
            if record is not None:
                yield record

    def advance(self, position_ns: int) -> Iterator[InputRecord]:
        """Say how far the pictures are known, where none was sent for a while."""
        read_ns = self._reader.read_ns(position_ns)
        if self._records.progress_due(read_ns):
            held_ns = self._reader.read_ns(position_ns - MEDIA_INTERLEAVE_NS)
            yield self._records.progress(read_ns, max(self._sampler.next_instant_ns, held_ns))

    def finish(self, end_ns: int) -> Iterator[InputRecord]:
        """Yield what the decoder still held."""
        del end_ns
        for picture in self._reader.drain():
            record = self._records.frame(picture, self._sampler.next_instant_ns)
            if record is not None:
                yield record
        self._records.end_ns = max(self._records.end_ns, self.end_ns)


class AudioPlayer:
    """Play sound."""

    def __init__(
        self, reader: AudioReader, records: TrackRecords, listener: Callable[[PcmChunk], None] | None = None
    ) -> None:
        """Play what the reader gives; the listener hears it too, before it is sent."""
        self._reader = reader
        self._records = records
        self._listener = listener

    @property
    def end_ns(self) -> int:
        """Where the sound that was sent ends."""
        return self._reader.end_ns

    def feed(self, packet: Packet[Any]) -> Iterator[InputRecord]:
        """Yield the chunks that the packet fills."""
        for sound in self._reader.feed(packet):
            yield self._chunk(sound)

    def advance(self, position_ns: int) -> Iterator[InputRecord]:
        """Say how far the file has been read where no sound came; past the allowance what is half full goes out."""
        if position_ns - self._reader.read_ns() >= MEDIA_INTERLEAVE_NS and self._records.may_send_progress:
            for sound in self._reader.pause(position_ns - MEDIA_INTERLEAVE_NS):
                yield self._chunk(sound)
        silent_ns = position_ns - max(0, self._reader.read_ns() - self._records.covered_ns)
        if self._records.progress_due(silent_ns):
            yield self._records.progress(
                position_ns, max(self._records.watermark_ns, position_ns - MEDIA_INTERLEAVE_NS)
            )

    def finish(self, end_ns: int) -> Iterator[InputRecord]:
        """Yield what is left."""
        del end_ns
        for sound in self._reader.drain():
            yield self._chunk(sound)

    def _chunk(self, sound: PcmChunk) -> AudioChunk:
        if self._listener is not None:
            self._listener(sound)
        return self._records.chunk(sound)


class EmbeddedCuePlayer:
    """Play the words that a track of the file holds."""

    def __init__(
        self, stream: SubtitleStream, records: TrackRecords, timeline: SessionTimeline, *, duration_ns: int | None
    ) -> None:
        self._stream = stream
        self._records = records
        self._timeline = timeline
        self._language = language_of(stream.metadata.get("language"))
        self._position_ns = timeline.base_ns
        self._stated_end_ns = timeline.base_ns + duration_ns if duration_ns is not None else None
        self.end_ns = timeline.base_ns

    def feed(self, packet: Packet[Any]) -> Iterator[InputRecord]:
        """Yield the cue of the packet, if it has words; what is shown after the film is cut off."""
        words = text_of(packet, self._stream)
        if packet.pts is None or not words:
            return
        start_ns = self._timeline.at(packet.pts, packet.time_base)
        length_ns = ticks_to_ns(packet.duration, packet.time_base) if packet.duration else DEFAULT_DURATION_NS
        end_ns = start_ns + length_ns
        if self._stated_end_ns is not None:
            end_ns = min(end_ns, max(self._stated_end_ns, self._position_ns))
        cue = Cue(max(start_ns, self._timeline.base_ns), end_ns, words, self._language)
        record = self._records.cue(cue, self._watermark_ns()) if cue.end_ns > cue.start_ns else None
        if record is not None:
            yield record

    def advance(self, position_ns: int) -> Iterator[InputRecord]:
        """Say how far the words have been read, where none came for a while."""
        self._position_ns = position_ns
        if self._records.progress_due(position_ns):
            yield self._records.progress(position_ns, self._watermark_ns())

    def finish(self, end_ns: int) -> Iterator[InputRecord]:
        """Yield nothing: every packet was played when it came."""
        del end_ns
        yield from ()

    def _watermark_ns(self) -> int:
        return max(self._timeline.base_ns, self._position_ns - TEXT_INTERLEAVE_NS)


class CaptionPlayer:
    """Play the captions inside the pictures, each when it has left the screen."""

    def __init__(self, reader: CaptionReader, records: TrackRecords) -> None:
        self._reader = reader
        self._records = records
        self.end_ns = reader.read_ns

    def feed(self, packet: Packet[Any]) -> Iterator[InputRecord]:
        """Take nothing: the captions come out of the pictures."""
        del packet
        yield from ()

    def advance(self, position_ns: int) -> Iterator[InputRecord]:
        """Yield the captions that are over, or say how far the pictures have been looked through."""
        del position_ns
        yield from self._due()
        if self._records.progress_due(self._reader.read_ns):
            yield self._records.progress(self._reader.read_ns, self._reader.watermark_ns)

    def finish(self, end_ns: int) -> Iterator[InputRecord]:
        """Yield what is still on the screen."""
        self._reader.finish(end_ns)
        yield from self._due()

    def _due(self) -> Iterator[InputRecord]:
        for cue in self._reader.take():
            record = self._records.cue(cue, min(cue.end_ns, self._reader.watermark_ns))
            if record is not None:
                yield record


class CueFilePlayer:
    """Play the cues of a file of their own, each when the film reaches it."""

    def __init__(
        self, cues: Sequence[Cue], records: TrackRecords, base_ns: int, *, duration_ns: int | None, last_pass: bool
    ) -> None:
        self._cues = [replace(cue, start_ns=base_ns + cue.start_ns, end_ns=base_ns + cue.end_ns) for cue in cues]
        self._records = records
        self._stated_end_ns = base_ns + duration_ns if duration_ns is not None else None
        self._last_pass = last_pass
        self._next = 0
        self.end_ns = base_ns

    def feed(self, packet: Packet[Any]) -> Iterator[InputRecord]:
        """Take nothing: the cues do not come from the film's packets."""
        del packet
        yield from ()

    def advance(self, position_ns: int) -> Iterator[InputRecord]:
        """Yield the cues that are due, or say what comes next."""
        while self._next < len(self._cues) and self._cues[self._next].start_ns <= position_ns:
            yield from self._play(position_ns)
        if self._records.progress_due(position_ns):
            yield self._records.progress(position_ns, self._watermark_ns(position_ns))

    def finish(self, end_ns: int) -> Iterator[InputRecord]:
        """Yield the cues that begin before the film ends."""
        while self._next < len(self._cues) and self._cues[self._next].start_ns < end_ns:
            yield from self._play(end_ns)
        if not self._last_pass:
            self.end_ns = max(self.end_ns, self._records.watermark_ns)

    def _play(self, position_ns: int) -> Iterator[InputRecord]:
        cue = self._cues[self._next]
        self._next += 1
        if self._stated_end_ns is not None:
            cue = replace(cue, end_ns=min(cue.end_ns, max(self._stated_end_ns, position_ns)))
        record = self._records.cue(cue, self._watermark_ns(position_ns)) if cue.end_ns > cue.start_ns else None
        if record is not None:
            yield record

    def _watermark_ns(self, position_ns: int) -> int:
        """Return the next cue's start; before another pass no more than what that pass will keep."""
        end_ns = position_ns if self._stated_end_ns is None else max(self._stated_end_ns, position_ns)
        if self._next == len(self._cues):
            return end_ns if self._last_pass else position_ns
        start_ns = self._cues[self._next].start_ns
        return start_ns if self._last_pass else max(position_ns, min(start_ns, end_ns))
