"""One record as alignment sees it: its place in the log, what it says of time, and an opaque payload."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from triptych.schemas.names import Modality

READING_ORDER: Final[tuple[Modality, ...]] = ("audio", "subtitles", "video")
"""The modalities in the order of their topics' names, which decides between records of one arrival time."""


class Kind(Enum):
    """What a record is to alignment."""

    MEDIA = "media"
    PROGRESS = "progress"
    END = "end"
    DEAD = "dead"
    ELSEWHERE = "elsewhere"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One record of one partition.

    `stream` is None where a dead record's key names none. Media covers `[start_ns, end_ns)` of event time (a frame one
    nanosecond); `watermark_ns` is the event time before which nothing more of its track will start. A `DEAD` entry
    could
    not be decoded: only its place, its stream and its payload count. `redriven` was put back from the dead letters, an
    `ELSEWHERE` one from those of another pipeline: neither moves anything.
    """

    modality: Modality
    offset: int
    arrival_ns: int
    stream: str | None
    kind: Kind
    session: str = ""
    seq: int | None = None
    start_ns: int = 0
    end_ns: int = 0
    watermark_ns: int = 0
    tracks: tuple[Modality, ...] = ()
    redriven: bool = False
    size_bytes: int = 0
    payload: object = None
