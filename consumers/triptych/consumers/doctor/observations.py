"""What is seen of a pipeline at one moment, from the input topics to the result store. Plain values; times are UTC."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from triptych.schemas.names import Modality
from triptych.units import NS_PER_S

PATIENCE_NS: Final = 60 * NS_PER_S


@dataclass(frozen=True, slots=True)
class TrackSeen:
    """The newest record of one modality of a stream. `ended`: it announces the end of the track."""

    modality: Modality
    arrival_ns: int
    ended: bool = False


@dataclass(frozen=True, slots=True)
class LettersSeen:
    """The dead letters of a stream of the last day that nobody has redriven, and their reasons."""

    count: int = 0
    newest_ns: int = 0
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StreamSeen:
    """One stream.

    Attributes:
        stream: its id.
        tracks: the modalities that have records.
        first_ns: arrival time of the oldest of the records that were looked at.
        unread: how many records of its partitions the workers have not committed. The last ones of a stream stay
            uncommitted until it is forgotten.
        oldest_unread_ns: arrival time of the oldest of these.
        letters: its dead letters.
        result_ns: arrival time of its newest result on the results topic.
        waiting_since_ns: arrival time of its oldest media that is newer than all that its results are based on.
        kept_ns: publication time of its newest result in Redis.
    """

    stream: str
    tracks: tuple[TrackSeen, ...] = ()
    first_ns: int | None = None
    unread: int = 0
    oldest_unread_ns: int | None = None
    letters: LettersSeen = field(default_factory=LettersSeen)
    result_ns: int | None = None
    waiting_since_ns: int | None = None
    kept_ns: int | None = None

    @property
    def newest_ns(self) -> int | None:
        """Arrival time of its newest record."""
        return max((track.arrival_ns for track in self.tracks), default=None)

    @property
    def ended(self) -> bool:
        """Whether every track that has records has ended."""
        return bool(self.tracks) and all(track.ended for track in self.tracks)


@dataclass(frozen=True, slots=True)
class PipelineSeen:
    """A pipeline.

    Attributes:
        now_ns: when it was looked at.
        pipeline: its name.
        wanted: the stream that was asked for; None for all.
        idle_ns: after how much silence a track no longer holds windows open.
        patience_ns: after how long without a record a stream that has not ended counts as silent, and how far, beyond
            `idle_ns`, a step may be behind the one before it.
        kafka_error: why Kafka could not be asked; empty if it could.
        redis_error: why Redis could not be asked; empty if it could.
        topic_problems: what is wrong with its topics, one line each.
        workers: the number of members of its group.
        is_advancing: whether the group committed anything while it was looked at; None if that was not looked at.
        streams: the stream that was asked for, or those with records of the last day.
        known: all streams that have records or results.
    """

    now_ns: int
    pipeline: str
    wanted: str | None = None
    idle_ns: int = 0
    patience_ns: int = PATIENCE_NS
    kafka_error: str = ""
    redis_error: str = ""
    topic_problems: tuple[str, ...] = ()
    workers: int = 0
    is_advancing: bool | None = None
    streams: tuple[StreamSeen, ...] = ()
    known: tuple[str, ...] = ()

    @property
    def allowed_ns(self) -> int:
        """How far a step may be behind the one before it."""
        return self.patience_ns + self.idle_ns
