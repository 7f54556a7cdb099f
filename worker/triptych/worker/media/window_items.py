"""The items of a closed window: their decoded records, and those whose media cannot be decoded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from triptych.schemas.reasons import DeadReason
from triptych.schemas.records import AudioChunk, SubtitleCue, VideoFrame
from triptych.worker.alignment.entry import Entry
from triptych.worker.intake import Received

Media = TypeVar("Media", VideoFrame, AudioChunk, SubtitleCue)


@dataclass(frozen=True, slots=True)
class BadItem:
    """An item of the window that cannot be decoded, with the reason for its dead letter."""

    entry: Entry
    reason: str
    code: DeadReason


def media_of(entry: Entry, kind: type[Media]) -> Media:
    """Return the decoded record of an item."""
    if isinstance(entry.payload, Received) and isinstance(entry.payload.decoded, kind):
        return entry.payload.decoded
    raise TypeError(f"item of a window: expected a received {kind.__name__}, got {entry.payload!r:.200}")
