"""The wire contract: input records, results, dead letters, and their encoding as Kafka messages.

Each name is imported from its module on first use, so importing this package is cheap.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from triptych.schemas.codec import decode, decode_result, encode, encode_result, parse_result
    from triptych.schemas.dead import DeadLetter
    from triptych.schemas.errors import MalformedRecordError, TriptychError, UsageError
    from triptych.schemas.records import AudioChunk, End, InputRecord, Progress, SubtitleCue, VideoFrame
    from triptych.schemas.results import Result

__all__ = [
    "AudioChunk",
    "DeadLetter",
    "End",
    "InputRecord",
    "MalformedRecordError",
    "Progress",
    "Result",
    "SubtitleCue",
    "TriptychError",
    "UsageError",
    "VideoFrame",
    "decode",
    "decode_result",
    "encode",
    "encode_result",
    "parse_result",
]

_MODULES = {
    "AudioChunk": "triptych.schemas.records",
    "DeadLetter": "triptych.schemas.dead",
    "End": "triptych.schemas.records",
    "InputRecord": "triptych.schemas.records",
    "MalformedRecordError": "triptych.schemas.errors",
    "Progress": "triptych.schemas.records",
    "Result": "triptych.schemas.results",
    "SubtitleCue": "triptych.schemas.records",
    "TriptychError": "triptych.schemas.errors",
    "UsageError": "triptych.schemas.errors",
    "VideoFrame": "triptych.schemas.records",
    "decode": "triptych.schemas.codec",
    "decode_result": "triptych.schemas.codec",
    "encode": "triptych.schemas.codec",
    "encode_result": "triptych.schemas.codec",
    "parse_result": "triptych.schemas.codec",
}


def __getattr__(name: str) -> object:
    """Import a public name from its module on first use."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)
