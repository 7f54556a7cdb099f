"""Records and results as Kafka messages: CloudEvents 1.0, Kafka binding, binary mode.

The key is the stream's id, the value is the media itself (or a result's JSON), everything else is a header. Decoding
anything malformed raises `MalformedRecordError` and nothing else. Where a message travels (topic, partition) is not
known here; the modality of a control record stands in `ce_subject`, or is taken from the topic by the caller.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

from triptych.schemas.dead import DeadLetter
from triptych.schemas.errors import MalformedRecordError
from triptych.schemas.headers import Headers, RawHeaders
from triptych.schemas.names import (
    CHUNK_TYPE,
    CUE_TYPE,
    DEAD_TYPE,
    END_TYPE,
    FRAME_TYPE,
    MODALITIES,
    ORIGINAL64_HEADER_PREFIX,
    ORIGINAL_HEADER_PREFIX,
    PROGRESS_TYPE,
    RESULT_TYPE,
    Modality,
)
from triptych.schemas.records import AudioChunk, End, InputRecord, MediaRecord, Progress, SubtitleCue, VideoFrame
from triptych.schemas.results import Result
from triptych.schemas.validation import built, built_from_json

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NS_PER_US: Final = 1_000
_IMAGE: Final = "image/jpeg, image/png or image/webp"
_SOUND: Final = "audio/wav or audio/flac"
_TEXT: Final = "text/plain;charset=utf-8"
_UTF8_TEXT: Final = re.compile(r"text/plain(\s*;\s*charset=\"?(utf-8|us-ascii)\"?)?", re.IGNORECASE)

_Attributes = Mapping[str, str | int | float | None]


class Wire(NamedTuple):
    """A message as it travels: key, value and headers."""

    key: bytes
    value: bytes
    headers: RawHeaders


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


def _frame_headers(frame: VideoFrame) -> _Attributes:
    return {
        "content-type": frame.content_type,
        "ce_width": frame.width,
        "ce_height": frame.height,
        **_media_headers(frame),
    }


def _chunk_headers(chunk: AudioChunk) -> _Attributes:
    return {
        "content-type": chunk.content_type,
        "ce_samplerate": chunk.sample_rate_hz,
        **_media_headers(chunk),
        "ce_endns": chunk.end_ns,
    }


def _cue_headers(cue: SubtitleCue) -> _Attributes:
    return {
        "content-type": _TEXT,
        "ce_language": cue.language,
        "ce_generated": "true" if cue.generated else None,
        "ce_generatedby": cue.generated_by,
        **_media_headers(cue),
        "ce_endns": cue.end_ns,
    }


def _media_headers(media: MediaRecord) -> _Attributes:
    return {"ce_seq": media.seq, "ce_avoffsetms": media.av_offset_ms, "ce_driftppm": media.drift_ppm}


def encode_result(result: Result, *, pipeline: str) -> Wire:
    """Return the message of a result; the worker adds its state header to it."""
    attributes: _Attributes = {
        "ce_id": result.id,
        "ce_source": _pipeline_source(pipeline),
        "ce_type": RESULT_TYPE,
        "ce_time": _rfc3339(result.start_ns),
        "content-type": "application/json",
        "ce_startns": result.start_ns,
        "ce_endns": result.end_ns,
    }
    return Wire(result.stream.encode(), result.model_dump_json().encode(), _headers(attributes))


def encode_dead(letter: DeadLetter) -> Wire:
    """Return the message of a dead letter: the record's own key and value, its own headers under a prefix.

    CloudEvents want UTF-8 in the key and in each header. What is not UTF-8 travels as base64: a key in `ce_originkey`
    (the letter's key is empty then), a header under a prefix of its own.
    """
    key_is_text = letter.key is not None and _is_utf8(letter.key)
    attributes: _Attributes = {
        "ce_id": letter.id,
        "ce_source": _pipeline_source(letter.pipeline),
        "ce_type": DEAD_TYPE,
        "ce_time": _rfc3339(letter.arrival_ns),
        "content-type": "application/octet-stream",
        "ce_pipeline": letter.pipeline,
        "ce_origintopic": letter.topic,
        "ce_originpartition": letter.partition,
        "ce_originoffset": letter.offset,
        "ce_originarrivalns": letter.arrival_ns,
        "ce_reason": letter.reason,
        "ce_originkeyed": "false" if letter.key is None else None,
        "ce_originkey": None if letter.key is None or key_is_text else b64encode(letter.key).decode(),
    }
    originals = tuple(_kept_header(name, value) for name, value in letter.headers)
    return Wire(letter.key if letter.key and key_is_text else b"", letter.value, _headers(attributes) + originals)


def _kept_header(name: str, value: bytes) -> tuple[str, bytes]:
    if _is_utf8(value):
        return ORIGINAL_HEADER_PREFIX + name, value
    return ORIGINAL64_HEADER_PREFIX + name, b64encode(value)


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def _wire(record: InputRecord, ce_type: str, value: bytes, own: _Attributes) -> Wire:
    attributes: _Attributes = {
        "ce_id": record.id,
        "ce_source": record.source,
        "ce_type": ce_type,
        "ce_time": _rfc3339(record.start_ns),
        "ce_startns": record.start_ns,
        "ce_nextns": record.next_ns,
        "ce_session": record.session,
        "ce_tracks": ",".join(record.tracks) or None,
        "ce_redriven": "true" if record.redriven else None,
    }
    return Wire(record.stream.encode(), value, _headers({**attributes, **own}))


def _headers(attributes: _Attributes) -> RawHeaders:
    present = {"ce_specversion": "1.0"} | {name: value for name, value in attributes.items() if value is not None}
    return tuple((name, str(value).encode()) for name, value in present.items())


def _pipeline_source(pipeline: str) -> str:
    return f"/triptych/pipelines/{pipeline}"


def _rfc3339(moment_ns: int) -> str:
    moment = _EPOCH + timedelta(microseconds=moment_ns // _NS_PER_US)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


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
        modality: what the topic carries; a record of another modality is refused, a control record belongs to it.

    Raises:
        MalformedRecordError: the message does not follow the contract.
    """
    read = Headers(headers)
    _check_envelope(read)
    ce_type = read.required("ce_type", "the type of an input record")
    decoder = _DECODERS.get(ce_type)
    if decoder is None:
        raise MalformedRecordError("ce_type", f"one of {', '.join(_DECODERS)}", ce_type)
    if value is None:
        raise MalformedRecordError("value", "bytes (those of a control record are none, not null)", "null")
    record = decoder(read, value, _common_fields(key, read), modality)
    if modality is not None and record.modality != modality:
        raise MalformedRecordError(
            "ce_type", f"a record of the topic's modality {modality}", f"{ce_type} ({record.modality})"
        )
    return record


def decode_result(key: bytes | None, value: bytes | None, headers: Iterable[tuple[str, bytes | None]]) -> Result:
    """Return the result of a message; raise `MalformedRecordError` where it does not follow the contract."""
    read = Headers(headers)
    _check_envelope(read)
    _check_type(read, RESULT_TYPE)
    if value is None:
        raise MalformedRecordError("value", "a result as JSON", "null")
    result = parse_result(value)
    if result.stream.encode() != key:
        raise MalformedRecordError("key", f"the result's own stream {result.stream!r}", key)
    return result


def parse_result(document: bytes | str) -> Result:
    """Return the result of a JSON document (a message's value, a Redis field); raise `MalformedRecordError`."""
    return built_from_json(Result, document)


def decode_dead(key: bytes | None, value: bytes | None, headers: Iterable[tuple[str, bytes | None]]) -> DeadLetter:
    """Return the dead letter of a message; raise `MalformedRecordError` where it is none."""
    pairs = tuple(headers)
    read = Headers(pairs)
    _check_envelope(read)
    _check_type(read, DEAD_TYPE)
    fields = {
        "pipeline": read.required("ce_pipeline", "the pipeline's name"),
        "topic": read.required("ce_origintopic", "a topic"),
        "partition": read.required_number("ce_originpartition"),
        "offset": read.required_number("ce_originoffset"),
        "arrival_ns": read.required_number("ce_originarrivalns"),
        "reason": read.required("ce_reason", "a reason"),
        "key": _original_key(key, read),
        "value": value or b"",
        "headers": tuple(_original_headers(pairs)),
    }
    return built(DeadLetter, fields)


def _original_key(key: bytes | None, read: Headers) -> bytes | None:
    if not read.flag("ce_originkeyed", default=True):
        return None
    encoded = read.raw("ce_originkey")
    return key if encoded is None else _from_base64("ce_originkey", encoded)


def _original_headers(pairs: Iterable[tuple[str, bytes | None]]) -> Iterable[tuple[str, bytes]]:
    for name, value in pairs:
        if name.startswith(ORIGINAL64_HEADER_PREFIX):
            yield name.removeprefix(ORIGINAL64_HEADER_PREFIX), _from_base64(name, value or b"")
        elif name.startswith(ORIGINAL_HEADER_PREFIX):
            yield name.removeprefix(ORIGINAL_HEADER_PREFIX), value or b""


def _from_base64(name: str, value: bytes) -> bytes:
    try:
        return b64decode(value, validate=True)
    except Base64Error:
        raise MalformedRecordError(name, "base64", value) from None


def _check_envelope(read: Headers) -> None:
    version = read.required("ce_specversion", "1.0")
    if version != "1.0":
        raise MalformedRecordError("ce_specversion", "1.0", version)


def _check_type(read: Headers, wanted: str) -> None:
    ce_type = read.required("ce_type", wanted)
    if ce_type != wanted:
        raise MalformedRecordError("ce_type", wanted, ce_type)


def _common_fields(key: bytes | None, read: Headers) -> dict[str, Any]:
    return {
        "stream": _stream(key),
        "id": read.required("ce_id", "an id"),
        "source": read.required("ce_source", "a source"),
        "session": read.required("ce_session", "a session id"),
        "tracks": _tracks(read),
        "start_ns": read.required_number("ce_startns"),
        "next_ns": read.number("ce_nextns"),
        "redriven": read.flag("ce_redriven", default=False),
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
        raise MalformedRecordError("key", "UTF-8", key) from None


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
    """Return the media type without its parameters, in lower case (RFC 9110 8.3.1)."""
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
        raise MalformedRecordError("value", "UTF-8 text", value) from None
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
        raise MalformedRecordError("value", "no bytes in a control record", value)
    named = read.text("ce_subject")
    if named is None and topic is None:
        raise MalformedRecordError("ce_subject", f"one of {', '.join(MODALITIES)}", "no such header")
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
