"""Encode records and results as Kafka messages, and decode them: CloudEvents 1.0, Kafka binding, binary mode.

The key is the stream's id, the value is the media (or a result's JSON), and everything else is a header. Decoding
malformed input raises `MalformedRecordError` and nothing else. The codec does not know topic or partition. The modality
of a control record is in `ce_subject`; without it, the caller passes the topic's modality.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, Final

from triptych.schemas.envelope import Attributes, Wire, as_headers, check_type, check_version, pipeline_source, rfc3339
from triptych.schemas.errors import MalformedRecordError
from triptych.schemas.headers import Headers
from triptych.schemas.names import (
    CHUNK_TYPE,
    CUE_TYPE,
    END_TYPE,
    FRAME_TYPE,
    LETTER_HEADER,
    MODALITIES,
    PROGRESS_TYPE,
    REDRIVEN_HEADER,
    RESULT_TYPE,
    Modality,
)
from triptych.schemas.plain_decoding import decode_plain
from triptych.schemas.reasons import DeadReason
from triptych.schemas.records import AudioChunk, End, InputRecord, MediaRecord, Progress, SubtitleCue, VideoFrame
from triptych.schemas.results import Result
from triptych.schemas.validation import built, built_from_json

_IMAGE: Final = "image/jpeg, image/png or image/webp"
_SOUND: Final = "audio/wav or audio/flac"
_TEXT: Final = "text/plain;charset=utf-8"
_UTF8_TEXT: Final = re.compile(r"text/plain(\s*;\s*charset=\"?(utf-8|us-ascii)\"?)?", re.IGNORECASE)


# --- encoding ---------------------------------------------------------------------------------------------------------


def encode(record: InputRecord) -> Wire:
    """Return the message of an input record."""
    match record:
        case VideoFrame():
            return _wire(record, FRAME_TYPE, record.data, _frame_headers(record))
        case AudioChunk():
            return _wire(record, CHUNK_TYPE, record.data, _chunk_headers(record))
        case SubtitleCue():
            return _wire(record, CUE_TYPE, record.text.encode(), _cue_headers(record))
        case Progress():
            return _wire(record, PROGRESS_TYPE, b"", {"ce_subject": record.modality})
        case End():
            return _wire(record, END_TYPE, b"", {"ce_subject": record.modality})


def _frame_headers(frame: VideoFrame) -> Attributes:
    return {
        "content-type": frame.content_type,
        "ce_width": frame.width,
        "ce_height": frame.height,
        **_media_headers(frame),
    }


def _chunk_headers(chunk: AudioChunk) -> Attributes:
    return {
        "content-type": chunk.content_type,
        "ce_samplerate": chunk.sample_rate_hz,
        **_media_headers(chunk),
        "ce_endns": chunk.end_ns,
    }


def _cue_headers(cue: SubtitleCue) -> Attributes:
    return {
        "content-type": _TEXT,
        "ce_language": cue.language,
        "ce_generated": "true" if cue.generated else None,
        "ce_generatedby": cue.generated_by,
        **_media_headers(cue),
        "ce_endns": cue.end_ns,
    }


def _media_headers(media: MediaRecord) -> Attributes:
    return {"ce_seq": media.seq, "ce_avoffsetms": media.av_offset_ms, "ce_driftppm": media.drift_ppm}


def encode_result(result: Result, *, pipeline: str) -> Wire:
    """Return the message of a result. The worker adds its state header."""
    attributes: Attributes = {
        "ce_id": result.id,
        "ce_source": pipeline_source(pipeline),
        "ce_type": RESULT_TYPE,
        "ce_time": rfc3339(result.start_ns),
        "content-type": "application/json",
        "ce_startns": result.start_ns,
        "ce_endns": result.end_ns,
    }
    return Wire(result.stream.encode(), result.model_dump_json().encode(), as_headers(attributes))


def _wire(record: InputRecord, ce_type: str, value: bytes, own: Attributes) -> Wire:
    attributes: Attributes = {
        "ce_id": record.id,
        "ce_source": record.source,
        "ce_type": ce_type,
        "ce_time": rfc3339(record.start_ns),
        "ce_startns": record.start_ns,
        "ce_nextns": record.next_ns,
        "ce_session": record.session,
        "ce_tracks": ",".join(record.tracks) or None,
        REDRIVEN_HEADER: "true" if record.redriven else None,
        LETTER_HEADER: record.letter,
    }
    return Wire(record.stream.encode(), value, as_headers({**attributes, **own}))


# --- decoding ---------------------------------------------------------------------------------------------------------


def decode(
    key: bytes | None,
    value: bytes | None,
    headers: Iterable[tuple[str, bytes | None]],
    *,
    modality: Modality | None = None,
) -> InputRecord:
    """Return the input record of a message.

    Args:
        key: the stream's id.
        value: the media.
        headers: the raw headers, in any order; unknown ones are ignored.
        modality: the topic's modality. A record of another modality is malformed; a control record defaults to it.

    Raises:
        MalformedRecordError: the message does not follow the contract.
    """
    pairs = tuple(headers)
    plain = decode_plain(key, value, pairs, modality)
    return decode_checked(key, value, pairs, modality) if plain is None else plain


def decode_checked(
    key: bytes | None, value: bytes | None, headers: Iterable[tuple[str, bytes | None]], modality: Modality | None
) -> InputRecord:
    """Return the input record of a message like `decode`, checking every part of it. Raises the same error."""
    read = Headers(headers)
    check_version(read)
    ce_type = read.required("ce_type", "the type of an input record")
    decoder = _DECODERS.get(ce_type)
    if decoder is None:
        raise MalformedRecordError("ce_type", f"one of {', '.join(_DECODERS)}", ce_type, DeadReason.UNKNOWN_TYPE)
    if value is None:
        expected = "bytes (those of a control record are none, not null)"
        raise MalformedRecordError("value", expected, "null", DeadReason.EMPTY_VALUE)
    record = decoder(read, value, _common_fields(key, read), modality)
    if modality is not None and record.modality != modality:
        expected, got = f"a record of the topic's modality {modality}", f"{ce_type} ({record.modality})"
        raise MalformedRecordError("ce_type", expected, got, DeadReason.WRONG_TOPIC)
    return record


def decode_result(key: bytes | None, value: bytes | None, headers: Iterable[tuple[str, bytes | None]]) -> Result:
    """Return the result of a message. Raises `MalformedRecordError` if it does not follow the contract."""
    read = Headers(headers)
    check_version(read)
    check_type(read, RESULT_TYPE)
    if value is None:
        raise MalformedRecordError("value", "a result as JSON", "null")
    result = parse_result(value)
    if result.stream.encode() != key:
        raise MalformedRecordError("key", f"the result's own stream {result.stream!r}", key)
    return result


def parse_result(document: bytes | str) -> Result:
    """Return the result of a JSON document: a message's value, or a field in Redis. Raises `MalformedRecordError`."""
    return built_from_json(Result, document)


def _common_fields(key: bytes | None, read: Headers) -> dict[str, Any]:
    return {
        "stream": _stream(key),
        "id": read.required("ce_id", "an id"),
        "source": read.required("ce_source", "a source"),
        "session": read.required("ce_session", "a session id"),
        "tracks": _tracks(read),
        "start_ns": read.required_number("ce_startns"),
        "next_ns": read.number("ce_nextns"),
        "redriven": read.flag(REDRIVEN_HEADER, default=False),
        "letter": read.text(LETTER_HEADER),
    }


def _media_fields(read: Headers) -> dict[str, Any]:
    return {
        "seq": read.number("ce_seq"),
        "av_offset_ms": read.measure("ce_avoffsetms"),
        "drift_ppm": read.measure("ce_driftppm"),
    }


def _stream(key: bytes | None) -> str:
    try:
        return (key or b"").decode()
    except UnicodeDecodeError:
        raise MalformedRecordError("key", "UTF-8", key, DeadReason.BAD_STREAM) from None


def _tracks(read: Headers) -> tuple[Modality, ...]:
    listed = read.text("ce_tracks")
    if listed is None:
        return ()
    names = listed.split(",")
    known = tuple(modality for modality in MODALITIES if modality in names)
    if len(known) != len(names):  # an unknown name, or one twice
        raise MalformedRecordError("ce_tracks", f"a list of {', '.join(MODALITIES)}, each at most once", listed)
    return known


def _media_type(read: Headers, expected: str) -> str:
    """Return the media type in lower case, without its parameters (RFC 9110, 8.3.1)."""
    return read.required("content-type", expected).partition(";")[0].strip().lower()


def _frame(read: Headers, value: bytes, common: dict[str, Any], _: Modality | None) -> VideoFrame:
    own = {
        **_media_fields(read),
        "content_type": _media_type(read, _IMAGE),
        "width": read.number("ce_width"),
        "height": read.number("ce_height"),
        "data": value,
    }
    return built(VideoFrame, common | own)


def _chunk(read: Headers, value: bytes, common: dict[str, Any], _: Modality | None) -> AudioChunk:
    own = {
        **_media_fields(read),
        "content_type": _media_type(read, _SOUND),
        "end_ns": read.required_number("ce_endns"),
        "sample_rate_hz": read.number("ce_samplerate"),
        "data": value,
    }
    return built(AudioChunk, common | own)


def _cue(read: Headers, value: bytes, common: dict[str, Any], _: Modality | None) -> SubtitleCue:
    content_type = read.text("content-type")
    if content_type is not None and not _UTF8_TEXT.fullmatch(content_type):
        raise MalformedRecordError("content-type", f"{_TEXT} or none", content_type)
    try:
        text = value.decode()
    except UnicodeDecodeError:
        raise MalformedRecordError("value", "UTF-8 text", value, DeadReason.NOT_UTF8) from None
    own = {
        **_media_fields(read),
        "end_ns": read.required_number("ce_endns"),
        "language": read.text("ce_language"),
        "generated": read.flag("ce_generated", default=False),
        "generated_by": read.text("ce_generatedby"),
        "text": text,
    }
    return built(SubtitleCue, common | own)


def _progress(read: Headers, value: bytes, common: dict[str, Any], topic: Modality | None) -> Progress:
    return built(Progress, common | {"modality": _control_modality(read, value, topic)})


def _end(read: Headers, value: bytes, common: dict[str, Any], topic: Modality | None) -> End:
    return built(End, common | {"modality": _control_modality(read, value, topic)})


def _control_modality(read: Headers, value: bytes, topic: Modality | None) -> str:
    if value:
        raise MalformedRecordError("value", "no bytes in a control record", value, DeadReason.BAD_VALUE)
    named = read.text("ce_subject")
    if named is None and topic is None:
        expected = f"one of {', '.join(MODALITIES)}"
        raise MalformedRecordError("ce_subject", expected, "no such header", DeadReason.MISSING_HEADER)
    modality = named if named is not None else str(topic)
    if modality not in MODALITIES or (topic is not None and modality != topic):
        raise MalformedRecordError("ce_subject", topic or f"one of {', '.join(MODALITIES)}", modality)
    return modality


_Decoder = Callable[[Headers, bytes, dict[str, Any], Modality | None], InputRecord]
_DECODERS: Final[dict[str, _Decoder]] = {
    FRAME_TYPE: _frame,
    CHUNK_TYPE: _chunk,
    CUE_TYPE: _cue,
    PROGRESS_TYPE: _progress,
    END_TYPE: _end,
}
