"""The player of the text of a source, which turns to the next text source where the current one stays silent.

Where a source on demand is played as fast as possible, the watermark of the text is held back until the first words,
so that the next text source loses nothing. Otherwise the next source begins where the silent one gave way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from av.packet import Packet

from triptych.producers.media.audio import PcmChunk
from triptych.producers.session.rendition_player import RenditionPlayer
from triptych.producers.session.text_source import TextSources
from triptych.producers.session.track_players import TrackPlayer
from triptych.producers.session.track_records import TrackRecords
from triptych.producers.session.transcript_player import TranscriptPlayer
from triptych.producers.subtitles.cea608 import CaptionReader
from triptych.schemas.records import InputRecord, SubtitleCue

_SILENT = "it has yielded no text"


class TextPlayer:
    """Play the text of one pass."""

    def __init__(
        self,
        sources: TextSources,
        build: Callable[[CaptionReader | None], TrackPlayer],
        records: TrackRecords,
        base_ns: int,
        *,
        is_live: bool,
        may_hold: bool,
    ) -> None:
        """Play what `build` makes of the current source.

        Args:
            sources: the text sources.
            build: makes the player of the current source; takes the reader of the captions, if there may be any.
            records: the records of the text.
            base_ns: the session time at which the pass starts.
            is_live: whether the source has no end.
            may_hold: whether the watermark may be held back until the first words.
        """
        self._sources = sources
        self._build = build
        self._records = records
        self._is_live = is_live
        self._may_hold = may_hold
        self._heard_ns = base_ns
        self._audio: list[PcmChunk] = []
        self.captions = CaptionReader(base_ns) if sources.expects("captions") else None
        self._player = build(self.captions)
        self._follow_sources()

    @property
    def end_ns(self) -> int:
        """Where the text ends, as far as read."""
        return self._player.end_ns

    def add_audio(self, chunk: PcmChunk) -> None:
        """Take a chunk of the audio that is played: to be transcribed, now or where no other source has words."""
        if isinstance(self._player, TranscriptPlayer):
            self._player.add_audio(chunk)
        elif self._records.is_held and self._sources.expects("transcript"):
            self._audio.append(chunk)

    def feed(self, packet: Packet[Any]) -> Iterable[InputRecord]:
        """Return the cues that a packet of the text track completes."""
        return self._noting_cues(self._player.feed(packet))

    def advance(self, position_ns: int) -> Iterable[InputRecord]:
        """Return what the current source has; turn to the next one where it has been silent for too long."""
        records = self._noting_cues(self._player.advance(position_ns))
        if self._may_turn:
            self._listen(position_ns)
            failure = self._failure
            if failure is not None or self._sources.is_silent(is_live=self._is_live):
                records += self._turn_to_next(failure or _SILENT, position_ns)
        return records

    def finish(self, end_ns: int) -> Iterator[InputRecord]:
        """Yield the rest. A source on demand that ends without a word leaves it to the next one."""
        yield from self._noting_cues(self._player.finish(end_ns))
        while self._records.is_held and self._sources.has_next:
            yield from self._turn_to_next(self._failure or _SILENT, end_ns)
            yield from self._noting_cues(self._player.finish(end_ns))
        self._records.is_held = False

    @property
    def _failure(self) -> str | None:
        """Why nothing can be read from the current source; None where it can."""
        return self._player.failure if isinstance(self._player, RenditionPlayer) else None

    def _turn_to_next(self, reason: str, position_ns: int) -> list[InputRecord]:
        if not self._sources.give_way(reason):
            self._records.is_held = False
            return []
        if not self._records.is_held and self.captions is not None:
            self.captions.skip()
        self._player = self._build(self.captions)
        audio, self._audio = self._audio, []
        if isinstance(self._player, TranscriptPlayer):
            for chunk in audio:
                self._player.add_audio(chunk)
        elif self._sources.expects("transcript"):
            self._audio = audio
        self._follow_sources()
        return self._noting_cues(self._player.advance(position_ns))

    def _follow_sources(self) -> None:
        sources = self._sources
        self._records.is_held = (
            self._may_hold
            and sources.has_next
            and not sources.has_spoken
            and not isinstance(sources.current, tuple)
            and self._records.is_unused
        )
        # A source on demand that has had words gives way only where it is a rendition that cannot be read.
        self._may_turn = sources.has_next and (
            self._is_live or not sources.has_spoken or isinstance(self._player, RenditionPlayer)
        )
        if self.captions is not None:
            self.captions.is_wanted = sources.kind == "captions" or not sources.has_spoken

    def _listen(self, position_ns: int) -> None:
        """Count the media without a word, as far as the text of the current source is known."""
        if isinstance(self._player, RenditionPlayer):
            position_ns = self._player.known_ns(position_ns)
        if position_ns > self._heard_ns:
            self._sources.silent_ns += position_ns - self._heard_ns
            self._heard_ns = position_ns

    def _noting_cues(self, records: Iterable[InputRecord]) -> list[InputRecord]:
        """Return the records. A player that makes them one by one sees from the first cue on that the text is heard."""
        noted = []
        for record in records:
            if isinstance(record, SubtitleCue):
                self._sources.heard()
                self._audio.clear()
                self._follow_sources()
            noted.append(record)
        return noted
