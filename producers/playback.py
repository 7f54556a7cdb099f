"""One source as one session: all its records, in the order of the film, pass after pass.

This is the whole of what a producer knows of media; pace and publishing come after it. Nothing here waits.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any, Final, Self

import structlog
from av.packet import Packet
from av.subtitles.stream import SubtitleStream

from triptych.producers.audio import AudioReader
from triptych.producers.captions import CaptionReader
from triptych.producers.language import DEFAULT_LANGUAGE
from triptych.producers.media_file import MediaFile
from triptych.producers.picture import PictureEncoder
from triptych.producers.plan import Plan
from triptych.producers.players import AudioPlayer, CaptionPlayer, CueFilePlayer, EmbeddedCuePlayer, Player, VideoPlayer
from triptych.producers.sampling import Grid, Sampler
from triptych.producers.timeline import Timeline
from triptych.producers.track_records import Feed, TrackRecords
from triptych.producers.video import VideoReader
from triptych.producers.words import choose_words
from triptych.schemas.errors import UsageError
from triptych.schemas.names import MODALITIES, Modality
from triptych.schemas.records import End, InputRecord

_log = structlog.get_logger(__name__)
_EARLY_NS: Final = 1_000_000_000
"""A file that ends so much before the end that it states is called broken."""

Players = dict[Modality, Player]


class Playback:
    """Play one source; a context manager that holds the open file.

    Raises `UsageError` when built, where there is nothing to play.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._media = self._opened()
        try:
            self._words = choose_words(plan, self._media)
        except UsageError:
            self._media.close()
            raise
        self._sampler = Sampler(Grid(plan.fps))
        self._records: dict[Modality, TrackRecords] = {}
        self._began = False
        self._film_end_ns = 0
        self.duration_ns = self._media.duration_ns

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._media.close()

    @property
    def tracks(self) -> tuple[Modality, ...]:
        """The modalities that this source announces."""
        has = {"video": self._media.video, "audio": self._media.audio, "subtitles": self._words}
        return tuple(modality for modality in MODALITIES if has[modality] is not None)

    @property
    def behind(self) -> int:
        """How many items came too late to keep a promise, and were left out or cut."""
        return sum(records.behind for records in self._records.values())

    def records(self, start_at_ns: int) -> Iterator[InputRecord]:
        """Yield all but the `end` records of a session that begins at this event time.

        Raises `UsageError` where nothing of the file can be decoded.
        """
        plan = self._plan
        feed = Feed(plan.stream, plan.source.uri, uuid.uuid4().hex, start_at_ns, self.tracks)
        self._records = {modality: TrackRecords(feed, modality) for modality in feed.tracks}
        base_ns = next_base_ns = 0
        passes = 0
        while passes == 0 or (passes != plan.loops and next_base_ns > base_ns and self._reopened()):
            passes += 1
            base_ns = next_base_ns
            players = self._players(Timeline(self._media.origin_ns, base_ns), last_pass=passes == plan.loops)
            yield from self._pass(players, Timeline(self._media.origin_ns, base_ns))
            next_base_ns = max(self._film_end_ns, *(player.end_ns for player in players.values()))
            self._check_whole(self._film_end_ns - base_ns, first=passes == 1)
        if not self._began:
            raise UsageError(f"{plan.source.path}: nothing in it could be decoded")

    def ends(self) -> Iterator[End]:
        """Yield the `end` of each track, wherever the playing has got to; nothing where it never began."""
        if self._began:
            over_ns = max(self._film_end_ns, *(records.over_ns for records in self._records.values()))
            yield from (records.end(over_ns) for records in self._records.values())

    def _pass(self, players: Players, timeline: Timeline) -> Iterator[InputRecord]:
        """Yield one pass, the tracks as they lie in the file."""
        position_ns = timeline.base_ns
        for packet in self._media.packets(with_text=self._words is self._media.text_track):
            modality = self._modality_of(packet)
            if modality != "subtitles" and packet.dts is not None:
                position_ns = max(position_ns, timeline.at(packet.dts, packet.time_base))
            yield from self._noting_media(players[modality].feed(packet))
            if self._began:  # silence is reported once there is something to be silent in
                for player in players.values():
                    yield from player.reach(position_ns)
        for player in players.values():  # words last: they may not begin after picture and sound are over
            self._film_end_ns = max(self._film_end_ns, position_ns, *_film_ends(players))
            yield from self._noting_media(player.finish(self._film_end_ns))
        self._film_end_ns = max(self._film_end_ns, position_ns, *_film_ends(players))

    def _noting_media(self, records: Iterator[InputRecord]) -> Iterator[InputRecord]:
        for record in records:
            self._began = True
            yield record

    def _players(self, timeline: Timeline, *, last_pass: bool) -> Players:
        media, plan, words, records = self._media, self._plan, self._words, self._records
        players: Players = {}
        captions = CaptionReader(timeline.base_ns) if words == "captions" else None
        if media.video is not None:
            encoder = PictureEncoder(
                max_height=plan.height, quality=plan.quality, pixel_aspect=media.video.sample_aspect_ratio
            )
            video = VideoReader(media.video, timeline, sampler=self._sampler, encoder=encoder, captions=captions)
            players["video"] = VideoPlayer(video, records["video"], self._sampler)
        if media.audio is not None:
            audio = AudioReader(media.audio, timeline, floor_ns=records["audio"].promise_ns)
            players["audio"] = AudioPlayer(audio, records["audio"])
        if captions is not None:
            players["subtitles"] = CaptionPlayer(captions, records["subtitles"])
        elif isinstance(words, tuple):
            players["subtitles"] = CueFilePlayer(
                words, records["subtitles"], timeline.base_ns, duration_ns=self.duration_ns, last_pass=last_pass
            )
        elif isinstance(words, SubtitleStream):
            players["subtitles"] = EmbeddedCuePlayer(
                words, records["subtitles"], timeline, duration_ns=self.duration_ns
            )
        return players

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
            return False
        if was_embedded:
            self._words = self._media.text_track
        return True

    def _check_whole(self, read_ns: int, *, first: bool) -> None:
        stated_ns = self.duration_ns
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
