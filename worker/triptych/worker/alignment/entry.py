"""An input record as alignment sees it: offset, arrival time, event time and an opaque payload."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from triptych.schemas.names import Modality

READING_ORDER: Final[tuple[Modality, ...]] = ("audio", "subtitles", "video")
"""The modalities in the order of their topic names, which decides between records with equal arrival times."""


class Kind(Enum):
    """The kind of a record. `OTHER_PIPELINE` is a record that another pipeline redrove from its dead letters."""

    MEDIA = "media"
    PROGRESS = "progress"
    END = "end"
    DEAD = "dead"
    OTHER_PIPELINE = "other_pipeline"


@dataclass(slots=True, kw_only=True, unsafe_hash=True)  # each record makes one: a frozen one takes three times as long
class Entry:
    """One record of one partition. Nothing changes it.

    `arrival_ns` is the time at which the broker appended the record. `stream` is None if the key of a dead record names
    no stream. Media covers the event time `[start_ns, end_ns)`; a frame covers one nanosecond. `watermark_ns` is the
    watermark of the track: no later record of it starts before. A `DEAD` record could not be decoded; only its offset,
    stream and payload are valid. `redriven` records came back from the dead letters (alignment rule 22).
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
    payload: Any = None  # `object`, which mypyc 2.4 cannot compile as the type of a field of a dataclass
