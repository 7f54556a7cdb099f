"""One source as a session: all its records, in the order of the film, pass after pass.

Where its time stamps jump, the session ends and another begins. This is the whole of what a producer knows of media;
pace and publishing come after it. Nothing here waits.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Final, Self

import structlog
from av.packet import Packet
from av.subtitles.stream import SubtitleStream

from triptych.producers.media.audio import AudioReader
from triptych.producers.media.continuity import Continuity, Jump
from triptych.producers.media.picture import JpegEncoder
from triptych.producers.media.sampling import Sampler, SamplingGrid
from triptych.producers.media.video import VideoReader
from triptych.producers.session.text_source import choose_words
from triptych.producers.session.track_players import (
    AudioPlayer,
    CaptionPlayer,
    CueFilePlayer,
    EmbeddedCuePlayer,
    TrackPlayer,
    VideoPlayer,
)
from triptych.producers.session.track_records import SessionInfo, TrackRecords
from triptych.producers.sources.media_file import MediaFile
from triptych.producers.sources.plan import PlaybackPlan
from triptych.producers.sources.source import UrlSource
from triptych.producers.speech.recogniser import Recogniser, detect_voice
from triptych.producers.speech.transcript import TranscriptPlayer
from triptych.producers.speech.transcription_thread import Recognise, TranscriptionThread
from triptych.producers.speech.utterances import UtteranceCutter
from triptych.producers.subtitles.cea608 import CaptionReader
from triptych.producers.subtitles.cue import Cue
from triptych.producers.subtitles.language import DEFAULT_LANGUAGE
from triptych.producers.timeline import SessionTimeline, ticks_to_ns
from triptych.schemas.errors import UsageError
from triptych.schemas.names import MODALITIES, Modality
from triptych.schemas.records import End, InputRecord
from triptych.units import NS_PER_S

_log = structlog.get_logger(__name__)
_EARLY_NS: Final = NS_PER_S
"""A file that ends so much before the end that it states is called broken."""

Players = dict[Modality, TrackPlayer]


class Playback:
    """Play one source; a context manager that holds the open file.

    Raises `UsageError` when built, where there is nothing to play.

    Attributes:
        duration_ns: how long one pass is by the source's own word; None of a live feed.
        is_gone: whether it could not be opened for another pass.
    """

    def __init__(
        self,
        plan: PlaybackPlan,
        *,
        next_start_ns: Callable[[int], int] | None = None,
        on_packet: Callable[[str, Modality, int], None] | None = None,
        recognise: Recognise | None = None,
    ) -> None:
        """Open the source.

        Args:
            plan: what to play, and how.
            next_start_ns: says when a session begins that follows one which ended at a moment.
            on_packet: is told session, track and decoding time stamp of each packet of picture and sound.
            recognise: hears words instead of the plan's model.
        """
        self._plan = plan
        self._next_start_ns = next_start_ns or (lambda end_ns: end_ns)
        self._on_packet = on_packet or (lambda _session, _modality, _at_ns: None)
        self._media = self._opened()
        try:
            self._words = choose_words(plan, self._media)
        except UsageError:
            self._media.close()
            raise
        self._scribe = self._new_scribe(recognise) if self._words == "heard" else None
        self._sampler = Sampler(SamplingGrid(plan.fps))
        self._records: dict[Modality, TrackRecords] = {}
        self._session = ""
        self._began = False
        self._start_at_ns = 0
        self._origin_ns = 0
        self._base_ns = 0
        self._film_end_ns = 0
        self._players_end_ns = 0
        self._splits = 0
        self._resync = False
        self._behind = 0
        self.duration_ns = self._media.duration_ns
        self.is_gone = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._scribe is not None:
            self._scribe.close()
        self._media.close()

    @property
    def tracks(self) -> tuple[Modality, ...]:
        """The modalities that this source announces."""
        has = {"video": self._media.video, "audio": self._media.audio, "subtitles": self._words}
        return tuple(modality for modality in MODALITIES if has[modality] is not None)

    @property
    def behind(self) -> int:
        """How many items came too late to keep a promise, and were left out or cut."""
        return self._behind + sum(records.behind for records in self._records.values())

    @property
    def problem(self) -> str | None:
        """What ended the reading before the source's end."""
        return self._media.problem

    def resync(self) -> None:
        """End the session at the next packet, and begin another."""
        self._resync = True

    def records(self, start_at_ns: int) -> Iterator[InputRecord]:
        """Yield all but the last session's `end` records; the first session begins at this event time.

        Raises `UsageError` where nothing of the file can be decoded.
        """
        plan, loops = self._plan, 1 if self._is_live else self._plan.loops
        if plan.transcribe is not None and self._words != "heard":
            reason = "it has no sound" if self._words is None else "it has words of its own"
            _log.info("transcription.off", stream=plan.stream, reason=reason)
        self._begin_session(start_at_ns)
        passes = 0
        while passes == 0 or (passes != loops and self._next_base_ns() > self._base_ns and self._reopened()):
            passes += 1
            self._base_ns = self._next_base_ns()
            self._origin_ns = self._media.origin_ns
            yield from self._pass(last=passes == loops)
            self._check_whole(self._film_end_ns - self._base_ns, first=passes == 1 and not self._splits)
        if not self._began:
            raise UsageError(f"{plan.source.label}: nothing in it could be decoded")

    def ends(self) -> Iterator[End]:
        """Yield the `end` of each track, wherever the playing has got to; nothing where it never began."""
        if self._began:
            over_ns = max(self._film_end_ns, *(records.over_ns for records in self._records.values()))
            yield from (records.end(over_ns) for records in self._records.values())

    def _begin_session(self, start_at_ns: int) -> None:
        plan = self._plan
        self._behind = self.behind
        self._session = uuid.uuid4().hex
        feed = SessionInfo(plan.stream, plan.source.uri, self._session, start_at_ns, self.tracks)
        self._records = {modality: TrackRecords(feed, modality) for modality in feed.tracks}
        self._sampler = Sampler(SamplingGrid(plan.fps))
        self._start_at_ns = start_at_ns
        self._base_ns = self._film_end_ns = self._players_end_ns = 0
        self._began = False

    @property
    def _is_live(self) -> bool:
        """Whether there is no end to it, and so no second pass."""
        return self.duration_ns is None and isinstance(self._plan.source, UrlSource)

    def _next_base_ns(self) -> int:
        return max(self._film_end_ns, self._players_end_ns)

    def _pass(self, *, last: bool) -> Iterator[InputRecord]:
        """Yield one pass, the tracks as they lie in the file."""
        timeline = SessionTimeline(self._origin_ns, self._base_ns)
        players = self._players(timeline, last_pass=last)
        position_ns = timeline.base_ns
        for item in self._continuous():
            if isinstance(item, Jump):
                yield from self._split(players, position_ns, item)
                timeline = SessionTimeline(item.origin_ns, 0)
                players = self._players(timeline, last_pass=last)
                position_ns = 0
                continue
            modality = self._modality_of(item)
            if modality != "subtitles" and item.dts is not None:
                at_ns = timeline.at(item.dts, item.time_base)
                self._on_packet(self._session, modality, at_ns)
                position_ns = max(position_ns, at_ns)
            yield from self._noting_media(players[modality].feed(item))
            if self._began:  # silence is reported once there is something to be silent in
                for player in players.values():
                    yield from player.reach(position_ns)
        yield from self._finish(players, position_ns)

    def _continuous(self) -> Iterator[Packet[Any] | Jump]:
        """Yield the packets, and where their time jumps."""
        continuity: Continuity[Packet[Any]] = Continuity()
        for packet in self._media.packets(with_text=self._words is self._media.text_track):
            if packet.dts is None or self._modality_of(packet) == "subtitles":
                yield packet
                continue
            at_ns = ticks_to_ns(packet.dts, packet.time_base)
            if self._resync:
                self._resync = False
                yield Jump(at_ns)
            yield from continuity.feed(packet.stream_index, at_ns, packet)
        yield from continuity.finish()
        if continuity.left_out:
            _log.warning("source.wrong_time_stamps", stream=self._plan.stream, packets_left_out=continuity.left_out)

    def _split(self, players: Players, position_ns: int, jump: Jump) -> Iterator[InputRecord]:
        """End the session and begin another, which is to run on from the jump's origin."""
        yield from self._finish(players, position_ns)
        yield from self.ends()
        for stream in (self._media.video, self._media.audio):
            if stream is not None:
                stream.codec_context.flush_buffers()
        # What was promised of picture and sound holds for the stream: another session may not begin before it.
        promises = [records.watermark_ns for modality, records in self._records.items() if modality != "subtitles"]
        end_ns = self._start_at_ns + max(self._next_base_ns(), *promises)
        self._splits += 1
        self._origin_ns = jump.origin_ns
        self._begin_session(self._next_start_ns(end_ns))
        _log.warning(
            "session.split",
            stream=self._plan.stream,
            ended_ns=end_ns,
            begins_ns=self._start_at_ns,
            reason="the source's time jumped, or ran away from the wall clock",
        )

    def _finish(self, players: Players, position_ns: int) -> Iterator[InputRecord]:
        for player in players.values():  # words last: they may not begin after picture and sound are over
            self._film_end_ns = max(self._film_end_ns, position_ns, *_film_ends(players))
            yield from self._noting_media(player.finish(self._film_end_ns))
        self._film_end_ns = max(self._film_end_ns, position_ns, *_film_ends(players))
        self._players_end_ns = max(player.end_ns for player in players.values())

    def _noting_media(self, records: Iterator[InputRecord]) -> Iterator[InputRecord]:
        for record in records:
            self._began = True
            yield record

    def _players(self, timeline: SessionTimeline, *, last_pass: bool) -> Players:
        media, plan, words, records = self._media, self._plan, self._words, self._records
        players: Players = {}
        captions = CaptionReader(timeline.base_ns) if words == "captions" else None
        if media.video is not None:
            encoder = JpegEncoder(
                max_height=plan.height, quality=plan.quality, pixel_aspect=media.video.sample_aspect_ratio
            )
            video = VideoReader(media.video, timeline, sampler=self._sampler, encoder=encoder, captions=captions)
            players["video"] = VideoPlayer(video, records["video"], self._sampler)
        if media.audio is not None:
            audio = AudioReader(media.audio, timeline, floor_ns=records["audio"].watermark_ns)
            transcript = self._transcript(timeline.base_ns)
            players["audio"] = AudioPlayer(audio, records["audio"], None if transcript is None else transcript.hear)
            if transcript is not None:
                players["subtitles"] = transcript
        if captions is not None:
            players["subtitles"] = CaptionPlayer(captions, records["subtitles"])
        elif isinstance(words, tuple):
            players["subtitles"] = CueFilePlayer(
                self._shifted(words, timeline),
                records["subtitles"],
                timeline.base_ns,
                duration_ns=self._stated_ns,
                last_pass=last_pass,
            )
        elif isinstance(words, SubtitleStream):
            players["subtitles"] = EmbeddedCuePlayer(words, records["subtitles"], timeline, duration_ns=self._stated_ns)
        return players

    def _transcript(self, base_ns: int) -> TranscriptPlayer | None:
        if self._words != "heard" or self._scribe is None:
            return None
        return TranscriptPlayer(
            UtteranceCutter(detect_voice, base_ns),
            self._scribe,
            self._records["subtitles"],
            self._records["audio"],
            is_live=self._is_live,
        )

    def _new_scribe(self, recognise: Recognise | None) -> TranscriptionThread:
        plan = self._plan
        if recognise is not None or plan.transcribe is None:
            return TranscriptionThread(recognise or (lambda _: ()))
        recogniser = Recogniser(plan.transcribe, plan.language)
        return TranscriptionThread(recogniser, recogniser.prepare)

    @property
    def _stated_ns(self) -> int | None:
        """How long the session will be by the file's own word, which a jump has made worthless."""
        return None if self._splits else self.duration_ns

    def _shifted(self, cues: tuple[Cue, ...], timeline: SessionTimeline) -> tuple[Cue, ...]:
        """Return the cues of a file in the time of what is left of the film after a jump."""
        by_ns = timeline.origin_ns - self._media.origin_ns
        if by_ns == 0:
            return cues
        shifted = (replace(cue, start_ns=max(0, cue.start_ns - by_ns), end_ns=cue.end_ns - by_ns) for cue in cues)
        return tuple(cue for cue in shifted if cue.end_ns > cue.start_ns)

    def _modality_of(self, packet: Packet[Any]) -> Modality:
        media = self._media
        if media.video is not None and packet.stream_index == media.video.index:
            return "video"
        if media.audio is not None and packet.stream_index == media.audio.index:
            return "audio"
        return "subtitles"

    def _opened(self) -> MediaFile:
        return MediaFile.open(self._plan.source, self._plan.language or DEFAULT_LANGUAGE)

    def _reopened(self) -> bool:
        """Open the file anew for the next pass: decoders and all start as in the first."""
        was_embedded = self._words is not None and self._words is self._media.text_track
        self._media.close()
        try:
            self._media = self._opened()
        except UsageError as error:
            _log.warning("source.gone", stream=self._plan.stream, reason=str(error))
            self.is_gone = True
            return False
        if was_embedded:
            self._words = self._media.text_track
        return True

    def _check_whole(self, read_ns: int, *, first: bool) -> None:
        stated_ns = self.duration_ns
        if self._is_live:
            return  # a live feed has no end to miss; whoever opened it says why it was lost
        ended_early = stated_ns is not None and read_ns < stated_ns - _EARLY_NS
        if first and (self._media.problem is not None or ended_early):
            _log.warning(
                "source.ended_early",
                stream=self._plan.stream,
                reason=self._media.problem or "the file is cut off",
                read_s=read_ns / 1e9,
                stated_s=None if stated_ns is None else stated_ns / 1e9,
            )


def _film_ends(players: Players) -> Iterator[int]:
    return (player.end_ns for modality, player in players.items() if modality != "subtitles")
