"""Decodes well-formed input records quickly. `codec.decode` tries it first.

It only accepts messages whose every header has its plainest form, and builds exactly the record that the checked path
would. It returns None for any other message, malformed or merely unusual; the checked path then decides, and its errors
say what is wrong. Differential tests compare the two.

The values that a session repeats in every record (its source, tracks, content type, ...) are checked by pydantic once
and cached by their bytes. The others are numbers and ids, which are checked here.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final, TypeVar

from pydantic import TypeAdapter, ValidationError

from triptych.schemas.headers import MEASURE_PATTERN
from triptych.schemas.names import (
    CHUNK_TYPE,
    CUE_TYPE,
    END_TYPE,
    FRAME_TYPE,
    LETTER_HEADER,
    PROGRESS_TYPE,
    REDRIVEN_HEADER,
    Modality,
)
from triptych.schemas.records import (
    AudioChunk,
    End,
    Hertz,
    ImageType,
    InputRecord,
    Language,
    ModelName,
    Pixels,
    Progress,
    SoundType,
    SubtitleCue,
    VideoFrame,
)
from triptych.schemas.values import MAX_NS, Measure, SessionId, Source, StreamId, Tracks, Value

_LONGEST_ID: Final = 1024
_LONGEST_NUMBER: Final = 19
_CACHED_VALUES: Final = 16_384
"""Values of each kind to remember: streams and sessions have one for each live feed."""
_LONGEST_CACHED_BYTES: Final = 256

_MEASURE_TEXT: Final = re.compile(MEASURE_PATTERN)

_set: Final = object.__setattr__
_R = TypeVar("_R", bound=Value)
Found = dict[str, bytes | None]


class _NotPlainError(Exception):
    """This message is left to the checked path."""


def decode_plain(
    key: bytes | None,
    value: bytes | None,
    headers: tuple[tuple[str, bytes | None], ...],
    modality: Modality | None,
) -> InputRecord | None:
    """Return the record of a message in its plainest form, or None. Never raises for a malformed message."""
    found: Found = dict(headers)
    if len(found) != len(headers) or value is None or found.get("ce_specversion") != b"1.0":
        return None
    decoder = _DECODERS.get(found.get("ce_type"))
    if decoder is None or REDRIVEN_HEADER in found or LETTER_HEADER in found:
        return None
    try:
        return decoder(found, value, key, modality)
    except (_NotPlainError, KeyError):  # a header is not plain, or missing
        return None


def _frame(found: Found, value: bytes, key: bytes | None, modality: Modality | None) -> VideoFrame:
    if not value or modality not in {None, "video"}:
        raise _NotPlainError
    fields = _media_fields(found, key)
    fields["modality"] = "video"
    fields["content_type"] = _IMAGE_TYPE(found["content-type"])
    fields["data"] = value
    fields["width"] = _optional(found, "ce_width", _PIXELS)
    fields["height"] = _optional(found, "ce_height", _PIXELS)
    return _built(VideoFrame, fields, _FRAME_FIELDS)


def _chunk(found: Found, value: bytes, key: bytes | None, modality: Modality | None) -> AudioChunk:
    if not value or modality not in {None, "audio"}:
        raise _NotPlainError
    fields = _media_fields(found, key)
    fields["end_ns"] = _end_ns(found, fields["start_ns"])
    fields["modality"] = "audio"
    fields["content_type"] = _SOUND_TYPE(found["content-type"])
    fields["data"] = value
    fields["sample_rate_hz"] = _optional(found, "ce_samplerate", _HERTZ)
    return _built(AudioChunk, fields, _CHUNK_FIELDS)


def _cue(found: Found, value: bytes, key: bytes | None, modality: Modality | None) -> SubtitleCue:
    if not value or modality not in {None, "subtitles"} or found["content-type"] != b"text/plain;charset=utf-8":
        raise _NotPlainError
    fields = _media_fields(found, key)
    fields["end_ns"] = _end_ns(found, fields["start_ns"])
    fields["modality"] = "subtitles"
    try:
        fields["text"] = value.decode()
    except UnicodeDecodeError:
        raise _NotPlainError from None
    fields["language"] = _optional(found, "ce_language", _LANGUAGE)
    fields["generated"] = _flag(found.get("ce_generated", b"false"))
    fields["generated_by"] = _optional(found, "ce_generatedby", _MODEL_NAME)
    return _built(SubtitleCue, fields, _CUE_FIELDS)


def _progress(found: Found, value: bytes, key: bytes | None, modality: Modality | None) -> Progress:
    return _built(Progress, _control_fields(found, value, key, modality), _CONTROL_FIELDS)


def _end(found: Found, value: bytes, key: bytes | None, modality: Modality | None) -> End:
    return _built(End, _control_fields(found, value, key, modality), _CONTROL_FIELDS)


def _control_fields(found: Found, value: bytes, key: bytes | None, modality: Modality | None) -> dict[str, Any]:
    named = _MODALITY(found["ce_subject"])
    if value or modality not in {None, named}:
        raise _NotPlainError
    fields = _common_fields(found, key)
    fields["modality"] = named
    return fields


def _common_fields(found: Found, key: bytes | None) -> dict[str, Any]:
    """Return the fields that every record has, in the order of their definition."""
    identifier = found["ce_id"]
    if not identifier or len(identifier) > _LONGEST_ID or not identifier.isascii():
        raise _NotPlainError
    name = identifier.decode()
    if not name.isprintable():
        raise _NotPlainError
    return {
        "stream": _STREAM(key),
        "id": name,
        "source": _SOURCE(found["ce_source"]),
        "session": _SESSION(found["ce_session"]),
        "tracks": _TRACKS(found["ce_tracks"]) if "ce_tracks" in found else (),
        "start_ns": _number(found["ce_startns"]),
        "next_ns": _number(found["ce_nextns"]) if "ce_nextns" in found else None,
        "redriven": False,
        "letter": None,
    }


def _media_fields(found: Found, key: bytes | None) -> dict[str, Any]:
    fields = _common_fields(found, key)
    fields["seq"] = _number(found["ce_seq"]) if "ce_seq" in found else None
    fields["av_offset_ms"] = _optional(found, "ce_avoffsetms", _MEASURE)
    fields["drift_ppm"] = _optional(found, "ce_driftppm", _MEASURE)
    return fields


def _end_ns(found: Found, start_ns: int) -> int:
    end_ns = _number(found["ce_endns"])
    if end_ns <= start_ns:
        raise _NotPlainError
    return end_ns


def _number(text: bytes | None) -> int:
    if not text or len(text) > _LONGEST_NUMBER or not text.isdigit():
        raise _NotPlainError
    number = int(text)
    if number > MAX_NS:
        raise _NotPlainError
    return number


def _flag(text: bytes | None) -> bool:
    if text not in {b"true", b"false"}:
        raise _NotPlainError
    return text == b"true"


def _optional(found: Found, name: str, checked: Callable[[bytes | None], Any]) -> Any:  # noqa: ANN401 - of any type
    return checked(found[name]) if name in found else None


def _built(kind: type[_R], fields: dict[str, Any], names: set[str]) -> _R:
    """Return the value as pydantic leaves it after validation, given all fields in the order of their definition."""
    value = kind.__new__(kind)
    _set(value, "__dict__", fields)
    _set(value, "__pydantic_fields_set__", names)
    _set(value, "__pydantic_extra__", None)
    _set(value, "__pydantic_private__", None)
    return value


def _cached(kind: Any, parsed: Callable[[str], object] = str) -> Callable[[bytes | None], Any]:  # noqa: ANN401 - any type
    """Return a function that converts a header's bytes to a checked value of a type, and remembers the result."""
    adapter: TypeAdapter[Any] = TypeAdapter(kind)

    @lru_cache(maxsize=_CACHED_VALUES)
    def checked(text: bytes | None) -> Any:  # noqa: ANN401 - of any type
        if not text or len(text) > _LONGEST_CACHED_BYTES:
            raise _NotPlainError
        try:
            return adapter.validate_python(parsed(text.decode()))
        except (UnicodeDecodeError, ValidationError):
            raise _NotPlainError from None

    return checked


def _digits(text: str) -> int:
    return _number(text.encode())


def _fraction(text: str) -> float:
    if not _MEASURE_TEXT.fullmatch(text):
        raise _NotPlainError
    return float(text)


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split(","))


_STREAM: Final = _cached(StreamId)
_SOURCE: Final = _cached(Source)
_SESSION: Final = _cached(SessionId)
_TRACKS: Final = _cached(Tracks, _names)
_MODALITY: Final = _cached(Modality)
_IMAGE_TYPE: Final = _cached(ImageType)
_SOUND_TYPE: Final = _cached(SoundType)
_PIXELS: Final = _cached(Pixels, _digits)
_HERTZ: Final = _cached(Hertz, _digits)
_MEASURE: Final = _cached(Measure, _fraction)
_LANGUAGE: Final = _cached(Language)
_MODEL_NAME: Final = _cached(ModelName)

_FRAME_FIELDS: Final = set(VideoFrame.model_fields) - {"modality"}
_CHUNK_FIELDS: Final = set(AudioChunk.model_fields) - {"modality"}
_CUE_FIELDS: Final = set(SubtitleCue.model_fields) - {"modality"}
_CONTROL_FIELDS: Final = set(Progress.model_fields)

_Decoder = Callable[[Found, bytes, bytes | None, Modality | None], InputRecord]
_DECODERS: Final[dict[bytes | None, _Decoder]] = {
    FRAME_TYPE.encode(): _frame,
    CHUNK_TYPE.encode(): _chunk,
    CUE_TYPE.encode(): _cue,
    PROGRESS_TYPE.encode(): _progress,
    END_TYPE.encode(): _end,
}
