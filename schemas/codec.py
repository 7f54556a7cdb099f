"""Records and results as Kafka messages: CloudEvents 1.0, Kafka binding, binary mode.

The key is the stream's id, the value is the media itself (or a result's JSON), everything else is a header. Decoding
anything malformed raises `MalformedRecordError` and nothing else. Where a message travels (topic, partition) is not
known here; the modality of a control record stands in `ce_subject`, or is taken from the topic by the caller.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple, TypeVar

from pydantic import ValidationError

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
    ORIGINAL_HEADER_PREFIX,
    PROGRESS_TYPE,
    RESULT_TYPE,
    Modality,
)
from triptych.schemas.records import AudioChunk, End, InputRecord, Progress, SubtitleCue, VideoFrame
from triptych.schemas.results import Result
from triptych.schemas.values import Value

_V = TypeVar("_V", bound=Value)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NS_PER_US: Final = 1_000
# RFC 3339 ends with the year 9999; a later event time has no `ce_time`, which CloudEvents allows.
_LAST_RFC3339_NS: Final = 253_402_300_799_999_999_999

_HEADER_OF: Final = {
    "stream": "key",
    "id": "ce_id",
    "source": "ce_source",
    "session": "ce_session",
    "tracks": "ce_tracks",
    "start_ns": "ce_startns",
    "end_ns": "ce_endns",
    "next_ns": "ce_nextns",
    "seq": "ce_seq",
    "content_type": "content-type",
    "width": "ce_width",
    "height": "ce_height",
    "sample_rate_hz": "ce_samplerate",
    "language": "ce_language",
    "data": "value",
    "text": "value",
}
_EXPECTED: Final = {
    "key": "a stream id of 1 to 128 of A-Z a-z 0-9 . _ -",
    "value": "a value that is not empty",
    "content-type": "a media type that this kind of record may have",
    "ce_source": "1 to 2048 characters without user name or password",
    "ce_session": "1 to 128 characters",
    "ce_endns": "an end after ce_startns",
}


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
            own = {"content-type": record.content_type, "ce_width": record.width, "ce_height": record.height}
            return _wire(record, FRAME_TYPE, record.data, own | {"ce_seq": record.seq})
        case AudioChunk():
            own = {"content-type": record.content_type, "ce_samplerate": record.sample_rate_hz}
            return _wire(record, CHUNK_TYPE, record.data, own | {"ce_seq": record.seq, "ce_endns": record.end_ns})
        case SubtitleCue():
            own = {"content-type": "text/plain;charset=utf-8", "ce_language": record.language}
            own |= {"ce_generated": "true" if record.generated else None}
            return _wire(record, CUE_TYPE, record.text.encode(), own | {"ce_seq": record.seq, "ce_endns": record.end_ns})
        case Progress():
            return _wire(record, PROGRESS_TYPE, b"", {"ce_subject": record.modality})
        case End():
            return _wire(record, END_TYPE, b"", {"ce_subject": record.modality})


def encode_result(result: Result, *, pipeline: str) -> Wire:
    """Return the message of a result; the worker adds its state header to it."""
    attributes = {
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
    """Return the message of a dead letter: the record's own key and value, its own headers under a prefix."""
    attributes = {
        "ce_id": letter.id,
        "ce_source": _pipeline_source(letter.pipeline),
        "ce_type": DEAD_TYPE,
        "content-type": "application/octet-stream",
        "ce_pipeline": letter.pipeline,
        "ce_origintopic": letter.topic,
        "ce_originpartition": letter.partition,
        "ce_originoffset": letter.offset,
        "ce_originarrivalns": letter.arrival_ns,
        "ce_reason": letter.reason,
        "ce_keyed": "false" if letter.key is None else None,
    }
    originals = tuple((ORIGINAL_HEADER_PREFIX + name, value) for name, value in letter.headers)
    return Wire(letter.key or b"", letter.value, _headers(attributes) + originals)


def _wire(record: InputRecord, ce_type: str, value: bytes, own: dict[str, Any]) -> Wire:
    attributes = {
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
    return Wire(record.stream.encode(), value, _headers(attributes | own))


def _headers(attributes: dict[str, Any]) -> RawHeaders:
    present = {"ce_specversion": "1.0"} | {name: value for name, value in attributes.items() if value is not None}
    return tuple((name, str(value).encode()) for name, value in present.items())


def _pipeline_source(pipeline: str) -> str:
    return f"/triptych/pipelines/{pipeline}"


def _rfc3339(moment_ns: int) -> str | None:
    if moment_ns > _LAST_RFC3339_NS:
        return None
    moment = _EPOCH + timedelta(microseconds=moment_ns // _NS_PER_US)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


# --- decoding ---------------------------------------------------------------------------------------------------------


def decode(key: bytes | None, value: bytes, headers: Iterable[tuple[str, bytes | None]], *, modality: Modality | None = None) -> InputRecord:
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
    record = decoder(read, value, _common_fields(key, read), modality)
    if modality is not None and record.modality != modality:
        raise MalformedRecordError("ce_type", f"a record of the topic's modality {modality}", f"{ce_type} ({record.modality})")
    return record


def decode_result(key: bytes | None, value: bytes, headers: Iterable[tuple[str, bytes | None]]) -> Result:
    """Return the result of a message; raise `MalformedRecordError` where it does not follow the contract."""
    read = Headers(headers)
    _check_envelope(read)
    _check_type(read, RESULT_TYPE)
    result = parse_result(value)
    if result.stream.encode() != key:
        raise MalformedRecordError("key", f"the result's own stream {result.stream!r}", key)
    return result


def parse_result(document: bytes | str) -> Result:
    """Return the result of a JSON document (a message's value, a Redis field); raise `MalformedRecordError`."""
    try:
        return Result.model_validate_json(document)
    except ValidationError as error:
        raise _translated(error, {}, "value.") from None


def decode_dead(key: bytes | None, value: bytes, headers: Iterable[tuple[str, bytes]]) -> DeadLetter:
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
        "key": None if read.text("ce_keyed") == "false" else key,
        "value": value,
        "headers": tuple(
            (name.removeprefix(ORIGINAL_HEADER_PREFIX), content)
            for name, content in pairs
            if name.startswith(ORIGINAL_HEADER_PREFIX)
        ),
    }
    return _built(DeadLetter, fields)


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
        "redriven": _flag(read, "ce_redriven"),
    }


def _stream(key: bytes | None) -> str:
    try:
        return (key or b"").decode("ascii")
    except UnicodeDecodeError:
        raise MalformedRecordError("key", _EXPECTED["key"], key) from None


def _tracks(read: Headers) -> tuple[Modality, ...]:
    listed = read.text("ce_tracks")
    if listed is None:
        return ()
    names = listed.split(",")
    known = tuple(modality for modality in MODALITIES if modality in names)
    if len(known) != len(names):
        raise MalformedRecordError("ce_tracks", f"a list of {', '.join(MODALITIES)}, each at most once", listed)
    return known


def _flag(read: Headers, name: str) -> bool:
    value = read.text(name)
    if value not in {None, "true", "false"}:
        raise MalformedRecordError(name, "true or false", value)
    return value == "true"


def _frame(read: Headers, value: bytes, common: dict[str, Any], _: Modality | None) -> VideoFrame:
    own = {
        "seq": read.number("ce_seq"),
        "content_type": read.required("content-type", _EXPECTED["content-type"]),
        "width": read.number("ce_width"),
        "height": read.number("ce_height"),
        "data": value,
    }
    return _built(VideoFrame, common | own)


def _chunk(read: Headers, value: bytes, common: dict[str, Any], _: Modality | None) -> AudioChunk:
    own = {
        "seq": read.number("ce_seq"),
        "content_type": read.required("content-type", _EXPECTED["content-type"]),
        "end_ns": read.required_number("ce_endns"),
        "sample_rate_hz": read.number("ce_samplerate"),
        "data": value,
    }
    return _built(AudioChunk, common | own)


def _cue(read: Headers, value: bytes, common: dict[str, Any], _: Modality | None) -> SubtitleCue:
    try:
        text = value.decode()
    except UnicodeDecodeError:
        raise MalformedRecordError("value", "UTF-8 text", value) from None
    own = {
        "seq": read.number("ce_seq"),
        "end_ns": read.required_number("ce_endns"),
        "language": read.text("ce_language"),
        "generated": _flag(read, "ce_generated"),
        "text": text,
    }
    return _built(SubtitleCue, common | own)


def _progress(read: Headers, value: bytes, common: dict[str, Any], topic: Modality | None) -> Progress:
    return _built(Progress, common | {"modality": _control_modality(read, value, topic)})


def _end(read: Headers, value: bytes, common: dict[str, Any], topic: Modality | None) -> End:
    return _built(End, common | {"modality": _control_modality(read, value, topic)})


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


def _built(kind: type[_V], fields: dict[str, Any]) -> _V:
    try:
        return kind.model_validate(fields)
    except ValidationError as error:
        raise _translated(error, fields, "") from None


def _translated(error: ValidationError, fields: dict[str, Any], prefix: str) -> MalformedRecordError:
    """Turn pydantic's first complaint into ours, with the header's name where the field has one."""
    first = error.errors(include_url=False)[0]
    message = str(first["msg"]).removeprefix("Value error, ")
    if not first["loc"] and ": " in message:
        field, message = message.split(": ", 1)
    else:
        field = ".".join(str(part) for part in first["loc"]) or "value"
    got = fields.get(field, first.get("input"))
    name = prefix + field if prefix else _HEADER_OF.get(field, field)
    return MalformedRecordError(name, _EXPECTED.get(name, message), got)
