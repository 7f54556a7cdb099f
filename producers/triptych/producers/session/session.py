"""One session of a source: its id, its tracks, its records and their end.

A `Session` lives from one timestamp jump to the next. It does no I/O and never waits.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from typing import Any

from av.packet import Packet

from triptych.producers.media.sampling import Sampler, SamplingGrid
from triptych.producers.session.track_players import AudioPlayer, TrackPlayer, VideoPlayer
from triptych.producers.session.track_records import SessionInfo, TrackRecords
from triptych.producers.session_timeline import SessionTimeline
from triptych.producers.sources.media_file import PlayedTrack
from triptych.producers.sources.playback_plan import PlaybackPlan
from triptych.producers.status.losses import Losses
from triptych.schemas.names import Modality
from triptych.schemas.records import End, InputRecord

Players = dict[Modality, TrackPlayer]
"""The players of one pass. Subtitles come last."""

OnPacket = Callable[[str, Modality, int], None]
"""Called with the session, the track and the decoding timestamp of each video and audio packet."""


class Session:
    """Turn the packets of one session into records. All times are session time, in nanoseconds.

    Attributes:
        records: the records of each track.
        sampler: selects the frames to send. It outlives a pass, so that a loop continues the grid.
        duration_ns: the stated duration of one pass; None where it is unknown or no longer holds.
        has_media: whether any record of media was made.
        pass_start_ns: where the current pass starts.
        media_end_ns: where video and audio end, as far as read.
    """

    def __init__(
        self,
        plan: PlaybackPlan,
        tracks: tuple[Modality, ...],
        start_at_ns: int,
        *,
        duration_ns: int | None,
        on_packet: OnPacket | None,
    ) -> None:
        """Begin a session whose time zero happens at `start_at_ns` (event time, nanoseconds)."""
        info = SessionInfo(plan.stream, plan.source.uri, uuid.uuid4().hex, start_at_ns, tracks)
        self.records = {modality: TrackRecords(info, modality) for modality in tracks}
        self.sampler = Sampler(SamplingGrid(plan.fps))
        self.duration_ns = duration_ns
        self.has_media = False
        self.pass_start_ns = 0
        self.media_end_ns = 0
        self._info = info
        self._on_packet = on_packet
        self._players: Players = {}
        self._earlier_losses = Losses()
        self._players_end_ns = 0
        self._timeline = SessionTimeline(0, 0)
        self._position_ns = 0

    @property
    def start_at_ns(self) -> int:
        """The event time of the session's start."""
        return self._info.start_at_ns

    @property
    def next_pass_ns(self) -> int:
        """The session time at which another pass would start."""
        return max(self.media_end_ns, self._players_end_ns)

    @property
    def earliest_successor_ns(self) -> int:
        """The event time before which no other session may begin: the watermarks of video and audio cover it."""
        watermarks = [records.watermark_ns for modality, records in self.records.items() if modality != "subtitles"]
        return self.start_at_ns + max(self.next_pass_ns, *watermarks)

    @property
    def losses(self) -> Losses:
        """What was discarded so far: items behind their track's watermark, frames and audio behind others."""
        late = sum(records.late_items for records in self.records.values())
        skipped = sum(records.skipped_segments for records in self.records.values())
        return self._earlier_losses + Losses(late=late, skipped_segments=skipped) + self._player_losses()

    def begin_pass(self, players: Players, timeline: SessionTimeline) -> None:
        """Play the following packets with these players."""
        self._earlier_losses += self._player_losses()
        self._players = players
        self._timeline = timeline
        self.pass_start_ns = self._position_ns = timeline.base_ns

    def feed(self, packet: Packet[Any], track: PlayedTrack | None) -> list[InputRecord]:
        """Return the records that a packet completes: of video or audio, or of the text track (None)."""
        if track is not None and packet.dts is not None:
            at_ns = self._timeline.from_container(track.scale.ns(packet.dts))
            if self._on_packet is not None:
                self._on_packet(self._info.session, track.modality, at_ns)
            self._position_ns = max(self._position_ns, at_ns)
        records = [*self._players["subtitles" if track is None else track.modality].feed(packet)]
        if records:
            self.has_media = True
        if self.has_media:  # before that there is no session that could be silent
            for player in self._players.values():
                records += player.advance(self._position_ns)
        return records

    def finish_pass(self) -> Iterator[InputRecord]:
        """Yield what the players still hold. The players of video and audio finish before that of the subtitles."""
        for player in self._players.values():
            self._extend_media_end()
            for record in player.finish(self.media_end_ns):
                self.has_media = True
                yield record
        self._extend_media_end()
        self._players_end_ns = max(player.end_ns for player in self._players.values())

    def ends(self) -> Iterator[End]:
        """Yield the `end` of each track; nothing where the session has no media."""
        if self.has_media:
            end_ns = max(self.media_end_ns, *(records.end_ns for records in self.records.values()))
            yield from (records.end(end_ns) for records in self.records.values())

    def _player_losses(self) -> Losses:
        media = (player for player in self._players.values() if isinstance(player, VideoPlayer | AudioPlayer))
        return sum((player.losses for player in media), Losses())

    def _extend_media_end(self) -> None:
        ends = (player.end_ns for modality, player in self._players.items() if modality != "subtitles")
        self.media_end_ns = max(self.media_end_ns, self._position_ns, *ends)
