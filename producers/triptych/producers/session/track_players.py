"""The players of the tracks of one pass: from packets to records, and progress reports while a track is silent.

A player is fed the packets of its track, told how far the whole file was read, and finished at the end of the pass. The
watermark of each track is:

- sampled video: the next instant of the grid;
- audio: its own end;
- a cue file: the start of the next cue;
- a transcript: the first audio that is not text yet (`transcript_player.py`);
- captions embedded in the video: the start of the caption on the screen, which is sent when it leaves the screen;
- a text track, and video or audio that stay away: the reading position minus an allowance, because a track may lie
  behind the others in a real file. Never past what the decoder still holds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Final, Protocol

from av.packet import Packet
from av.subtitles.stream import SubtitleStream

from triptych.producers.media.audio import AudioReader, PcmChunk
from triptych.producers.media.sampling import Sampler
from triptych.producers.media.video import SampledFrame, VideoReader
from triptych.producers.session.track_records import TrackRecords
from triptych.producers.session_timeline import SessionTimeline
from triptych.producers.status.losses import Losses
from triptych.producers.subtitles.cea608 import CaptionReader
from triptych.producers.subtitles.cue import DEFAULT_DURATION_NS, Cue
from triptych.producers.subtitles.language import language_of
from triptych.producers.subtitles.repeats import RepeatFilter
from triptych.producers.subtitles.track_text import TrackText
from triptych.schemas.records import AudioChunk, InputRecord

TEXT_INTERLEAVE_NS: Final = 1_000_000_000
"""How far behind video and audio the text may lie in a file."""

MEDIA_INTERLEAVE_NS: Final = 3_000_000_000
"""How far behind each other video and audio may lie. More than a second was seen in transport streams."""


class TrackPlayer(Protocol):
    """Play one track of one pass. All times are session time, in nanoseconds."""

    def feed(self, packet: Packet[Any]) -> Iterable[InputRecord]:
        """Return the records that a packet of this track completes."""

    def advance(self, position_ns: int) -> Iterable[InputRecord]:
        """Take the position up to which the file was read; return what is complete then, or a progress report."""

    def finish(self, end_ns: int) -> Iterable[InputRecord]:
        """Return the remaining records. Video and audio of the pass end at `end_ns`, as far as known."""

    @property
    def end_ns(self) -> int:
        """Where the media of this track ends, as far as read."""


class VideoPlayer:
    """Play a video track."""

    def __init__(self, reader: VideoReader, records: TrackRecords, sampler: Sampler) -> None:
        self._reader = reader
        self._records = records
        self._sampler = sampler

    @property
    def end_ns(self) -> int:
        """Where the last frame ends."""
        return self._reader.end_ns

    @property
    def losses(self) -> Losses:
        """The frames that came too late."""
        return Losses(late=self._reader.late_frames)

    def feed(self, packet: Packet[Any]) -> Iterable[InputRecord]:
        """Return the selected frames that the packet completes."""
        frames = self._reader.feed(packet)
        return self._records_of(frames) if frames else ()

    def advance(self, position_ns: int) -> Iterable[InputRecord]:
        """Report how far the frames are known, where none was sent for a while."""
        read_ns = self._reader.read_ns(position_ns)
        if not self._records.progress_due(read_ns):
            return ()
        held_ns = self._reader.read_ns(position_ns - MEDIA_INTERLEAVE_NS)
        return (self._records.progress(read_ns, max(self._sampler.next_instant_ns, held_ns)),)

    def finish(self, end_ns: int) -> Iterable[InputRecord]:
        """Return what the decoder still holds."""
        del end_ns
        records = self._records_of(self._reader.drain())
        self._records.end_ns = max(self._records.end_ns, self.end_ns)
        return records

    def _records_of(self, frames: Iterable[SampledFrame]) -> list[InputRecord]:
        records = map(self._records.frame, frames)
        return [record for record in records if record is not None]


class AudioPlayer:
    """Play an audio track."""

    def __init__(
        self, reader: AudioReader, records: TrackRecords, listener: Callable[[PcmChunk], None] | None = None
    ) -> None:
        """Play what the reader yields. The listener gets each chunk before it is sent."""
        self._reader = reader
        self._records = records
        self._listener = listener

    @property
    def end_ns(self) -> int:
        """Where the audio that was sent ends."""
        return self._reader.end_ns

    @property
    def losses(self) -> Losses:
        """The audio that was trimmed."""
        return Losses(overlap_ns=self._reader.trimmed_ns)

    def feed(self, packet: Packet[Any]) -> Iterable[InputRecord]:
        """Return the chunks that the packet completes."""
        return [self._chunk(chunk) for chunk in self._reader.feed(packet)]

    def advance(self, position_ns: int) -> Iterable[InputRecord]:
        """Report how far the file was read where no audio came. Beyond the allowance, an incomplete chunk is sent."""
        read_ns = self._reader.read_ns()
        records: list[InputRecord] = []
        if position_ns - read_ns >= MEDIA_INTERLEAVE_NS and self._records.may_send_progress:
            records += map(self._chunk, self._reader.flush_for_gap(position_ns - MEDIA_INTERLEAVE_NS))
            read_ns = self._reader.read_ns()
        silent_ns = position_ns - max(0, read_ns - self._records.covered_ns)
        if self._records.progress_due(silent_ns):
            watermark_ns = max(self._records.watermark_ns, position_ns - MEDIA_INTERLEAVE_NS)
            records.append(self._records.progress(position_ns, watermark_ns))
        return records

    def finish(self, end_ns: int) -> Iterable[InputRecord]:
        """Return the remaining chunks."""
        del end_ns
        return [self._chunk(chunk) for chunk in self._reader.drain()]

    def _chunk(self, chunk: PcmChunk) -> AudioChunk:
        if self._listener is not None:
            self._listener(chunk)
        return self._records.chunk(chunk)


class EmbeddedCuePlayer:
    """Play a text track of the file."""

    def __init__(
        self,
        stream: SubtitleStream,
        text: TrackText,
        records: TrackRecords,
        timeline: SessionTimeline,
        *,
        duration_ns: int | None,
    ) -> None:
        self._text = text
        self._repeats = RepeatFilter()
        self._records = records
        self._timeline = timeline
        self._language = language_of(stream.metadata.get("language"))
        self._position_ns = timeline.base_ns
        self._stated_end_ns = timeline.base_ns + duration_ns if duration_ns is not None else None
        self.end_ns = timeline.base_ns

    def feed(self, packet: Packet[Any]) -> Iterator[InputRecord]:
        """Yield the cues of the packet, if it has text. A cue that outlasts the file is cut off."""
        if packet.pts is None:
            return
        at_ns = self._timeline.at(packet.pts, packet.time_base)
        for cue in self._text.cues(packet):
            start_ns = at_ns + cue.start_ns
            end_ns = at_ns + (cue.end_ns if cue.end_ns > cue.start_ns else cue.start_ns + DEFAULT_DURATION_NS)
            if self._stated_end_ns is not None:
                end_ns = min(end_ns, max(self._stated_end_ns, self._position_ns))
            new = self._repeats.new_part(Cue(max(start_ns, self._timeline.base_ns), end_ns, cue.text, self._language))
            if new is None or new.end_ns <= new.start_ns:
                continue
            record = self._records.cue(new, self._watermark_ns())
            if record is not None:
                yield record

    def advance(self, position_ns: int) -> Iterable[InputRecord]:
        """Report how far the text was read, where none came for a while."""
        self._position_ns = position_ns
        is_due = self._records.progress_due(position_ns)
        return (self._records.progress(position_ns, self._watermark_ns()),) if is_due else ()

    def finish(self, end_ns: int) -> Iterator[InputRecord]:
        """Yield nothing: every packet was played when it came."""
        del end_ns
        self._text.report()
        yield from ()

    def _watermark_ns(self) -> int:
        return max(self._timeline.base_ns, self._position_ns - TEXT_INTERLEAVE_NS)


class CaptionPlayer:
    """Play captions embedded in the video, each when it has left the screen."""

    def __init__(self, reader: CaptionReader, records: TrackRecords) -> None:
        self._reader = reader
        self._records = records
        self._repeats = RepeatFilter()
        self.end_ns = reader.read_ns

    def feed(self, packet: Packet[Any]) -> Iterator[InputRecord]:
        """Yield nothing: the captions come with the frames."""
        del packet
        yield from ()

    def advance(self, position_ns: int) -> Iterator[InputRecord]:
        """Yield the captions that have left the screen, or report how far the frames were searched."""
        del position_ns
        yield from self._due()
        if self._records.progress_due(self._reader.read_ns):
            yield self._records.progress(self._reader.read_ns, self._reader.watermark_ns)

    def finish(self, end_ns: int) -> Iterator[InputRecord]:
        """Yield the caption that is still on the screen."""
        self._reader.finish(end_ns)
        yield from self._due()

    def _due(self) -> Iterator[InputRecord]:
        for cue in self._reader.take():
            new = self._repeats.new_part(cue)
            record = None if new is None else self._records.cue(new, min(new.end_ns, self._reader.watermark_ns))
            if record is not None:
                yield record


class CaptionTrackPlayer(CaptionPlayer):
    """Play a track of CEA-608 captions, as QuickTime files have it."""

    def __init__(self, reader: CaptionReader, records: TrackRecords, timeline: SessionTimeline) -> None:
        super().__init__(reader, records)
        self._timeline = timeline

    def feed(self, packet: Packet[Any]) -> Iterator[InputRecord]:
        """Yield the captions that leave the screen with the packet."""
        if packet.pts is not None:
            self._reader.feed_bytes(bytes(packet), self._timeline.at(packet.pts, packet.time_base))
        yield from self._due()

    def advance(self, position_ns: int) -> Iterator[InputRecord]:
        """Yield the captions that have left the screen, or report how far the file was read."""
        self._reader.read_to(position_ns - TEXT_INTERLEAVE_NS)
        yield from super().advance(position_ns)


class CueFilePlayer:
    """Play the cues of a cue file, each when playback reaches it."""

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
        """Yield nothing: the cues do not come from packets."""
        del packet
        yield from ()

    def advance(self, position_ns: int) -> Iterator[InputRecord]:
        """Yield the cues that are due, or report the start of the next one."""
        while self._next < len(self._cues) and self._cues[self._next].start_ns <= position_ns:
            yield from self._play(position_ns)
        if self._records.progress_due(position_ns):
            yield self._records.progress(position_ns, self._watermark_ns(position_ns))

    def finish(self, end_ns: int) -> Iterator[InputRecord]:
        """Yield the cues that begin before the end of the media."""
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
        """Return the start of the next cue; before another pass, no more than that pass can keep."""
        end_ns = position_ns if self._stated_end_ns is None else max(self._stated_end_ns, position_ns)
        if self._next == len(self._cues):
            return end_ns if self._last_pass else position_ns
        start_ns = self._cues[self._next].start_ns
        return start_ns if self._last_pass else max(position_ns, min(start_ns, end_ns))
