"""Decoding any input returns a value or raises `MalformedRecordError`: where, what was expected, what came."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from triptych.schemas.codec import decode, decode_result, parse_result
from triptych.schemas.dead_codec import decode_dead
from triptych.schemas.envelope import Wire
from triptych.schemas.errors import MalformedRecordError
from triptych.schemas.names import MODALITIES, Modality

Header = tuple[str, bytes | None]
_many = settings(deadline=None, max_examples=400)

FRAME: tuple[str, Modality] = ("video_frame", "video")
CHUNK: tuple[str, Modality] = ("audio_chunk", "audio")
CUE: tuple[str, Modality] = ("subtitles_cue", "subtitles")
CONTROL: tuple[str, Modality] = ("progress", "subtitles")

# (golden message, header, its new value or None to remove it) -> what the error says was expected, and what came
HEADER_CASES: list[tuple[tuple[str, Modality], str, bytes | None, str, str]] = [
    (FRAME, "ce_specversion", None, "1.0", "no such header"),
    (FRAME, "ce_specversion", b"0.3", "1.0", "0.3"),
    (FRAME, "ce_type", None, "the type of an input record", "no such header"),
    (FRAME, "ce_type", b"triptych.result", "one of triptych.video.frame, ", "triptych.result"),
    (FRAME, "ce_id", None, "an id", "no such header"),
    (FRAME, "ce_id", b"", "a header that is not empty", "b''"),
    (FRAME, "ce_id", b"tab\there", "1 to 1024 characters, none of them a control character", "'tab\\there'"),
    (FRAME, "ce_id", b"\xff\xfe", "UTF-8", "b'\\xff\\xfe'"),
    (FRAME, "ce_id", b"x" * 9000, "at most 8192 bytes", "… (9000 bytes)"),
    (FRAME, "ce_id", b"x" * 1025, "1 to 1024 characters", "… (1025 characters)"),
    (FRAME, "ce_source", None, "a source", "no such header"),
    (
        FRAME,
        "ce_source",
        b"rtsp://eve:secret@gate/1",
        "without control characters, user name or password",
        "//***@gate",
    ),
    (FRAME, "ce_session", None, "a session id", "no such header"),
    (FRAME, "ce_session", b"s" * 129, "1 to 128 characters", "… (129 characters)"),
    (FRAME, "ce_tracks", b"video,smell", "a list of video, audio, subtitles, each at most once", "video,smell"),
    (FRAME, "ce_tracks", b"video,video", "a list of video, audio, subtitles, each at most once", "video,video"),
    (FRAME, "ce_startns", None, "a decimal number", "no such header"),
    (FRAME, "ce_startns", b"-1", "a decimal number from 0 to 9223372036854775807", "-1"),
    (FRAME, "ce_startns", b"1.5", "a decimal number from 0 to 9223372036854775807", "1.5"),
    (FRAME, "ce_startns", b" 1", "a decimal number from 0 to 9223372036854775807", " 1"),
    (FRAME, "ce_startns", b"1_000", "a decimal number from 0 to 9223372036854775807", "1_000"),
    (FRAME, "ce_startns", b"1\n", "a decimal number from 0 to 9223372036854775807", "'1\\n'"),
    (
        FRAME,
        "ce_startns",
        b"9223372036854775808",
        "a decimal number from 0 to 9223372036854775807",
        "9223372036854775808",
    ),
    (FRAME, "ce_startns", b"9" * 5000, "a decimal number from 0 to 9223372036854775807", "… (5000 characters)"),
    (FRAME, "ce_startns", "\u0661\u0662".encode(), "a decimal number from 0 to 9223372036854775807", "\u0661\u0662"),
    (FRAME, "ce_nextns", b"soon", "a decimal number from 0 to 9223372036854775807", "soon"),
    (FRAME, "ce_seq", b"0x1", "a decimal number from 0 to 9223372036854775807", "0x1"),
    (FRAME, "ce_avoffsetms", b"1e3", "a number such as -12.5", "1e3"),
    (FRAME, "ce_avoffsetms", b"nan", "a number such as -12.5", "nan"),
    (CHUNK, "ce_driftppm", b"+3", "a number such as -12.5", "+3"),
    (CUE, "ce_driftppm", b"2000000000", "input to be less than or equal to", "2000000000"),
    (FRAME, "ce_width", b"0", "input to be greater than or equal to 1", "0"),
    (FRAME, "ce_height", b"65536", "input to be less than or equal to 65535", "65536"),
    (FRAME, "ce_redriven", b"yes", "true or false", "yes"),
    (FRAME, "content-type", None, "image/jpeg, image/png or image/webp", "no such header"),
    (FRAME, "content-type", b"video/mp4", "'image/jpeg', 'image/png' or 'image/webp'", "video/mp4"),
    (CHUNK, "content-type", b"audio/ogg", "'audio/wav' or 'audio/flac'", "audio/ogg"),
    (CHUNK, "ce_endns", None, "a decimal number", "no such header"),
    (CHUNK, "ce_endns", b"1", "an end after ce_startns", "1"),
    (CHUNK, "ce_endns", b"1767225600000000000", "an end after ce_startns", "1767225600000000000"),
    (CHUNK, "ce_samplerate", b"0", "input to be greater than or equal to 1", "0"),
    (CUE, "ce_endns", b"5", "an end after ce_startns", "5"),
    (CUE, "ce_language", b"English!", "a language tag such as eng or pt-BR", "English!"),
    (CUE, "ce_generated", b"1", "true or false", "1"),
    (CUE, "content-type", b"text/plain; charset=latin-1", "text/plain;charset=utf-8 or none", "charset=latin-1"),
    (CUE, "content-type", b"text/html", "text/plain;charset=utf-8 or none", "text/html"),
    (CONTROL, "ce_subject", b"smell", "subtitles", "smell"),
    (CONTROL, "ce_subject", b"video", "subtitles", "video"),
]


@pytest.mark.parametrize(("message", "name", "value", "expected", "got"), HEADER_CASES)
def test_the_error_names_the_header_what_was_expected_and_what_came(
    golden: dict[str, Wire], message: tuple[str, Modality], name: str, value: bytes | None, expected: str, got: str
) -> None:
    """For each invalid or missing header, in one printable line."""
    key, content, headers = golden[message[0]]
    changed = [(other, old) for other, old in headers if other != name]
    if value is not None:
        changed.append((name, value))
    with pytest.raises(MalformedRecordError) as caught:
        decode(key, content, changed, modality=message[1])
    line = str(caught.value)
    assert line.startswith(f"{name}: expected ")
    assert expected in line
    assert got in line
    assert line.isprintable()
    assert "secret" not in line


PART_CASES: list[tuple[str, bytes | None, bytes | None, str, str, str]] = [
    ("video_frame", None, b"x", "key", "a stream id", "''"),
    ("video_frame", b"", b"x", "key", "a stream id", "''"),
    ("video_frame", b"two words", b"x", "key", "a stream id", "two words"),
    ("video_frame", b"city\n", b"x", "key", "a stream id", "'city\\n'"),
    ("video_frame", b"\xff", b"x", "key", "UTF-8", "b'\\xff'"),
    ("video_frame", "stra\u00dfe".encode(), b"x", "key", "a stream id", "stra\u00dfe"),
    ("video_frame", b"s" * 129, b"x", "key", "a stream id", "… (129 characters)"),
    ("video_frame", b"city", b"", "value", "a value that is not empty", "b''"),
    ("video_frame", b"city", None, "value", "not null", "null"),
    ("subtitles_cue", b"city", b"\xc3\x28", "value", "UTF-8 text", "b'\\xc3('"),
    ("subtitles_cue", b"city", b"", "value", "a value that is not empty", "''"),
    ("progress", b"city", None, "value", "not null", "null"),
    ("progress", b"city", b"0" * 2_000_000, "value", "no bytes in a control record", "… (2000000 bytes)"),
    ("end", b"city", b"\0", "value", "no bytes in a control record", "b'\\x00'"),
]


@pytest.mark.parametrize(("name", "key", "value", "field", "expected", "got"), PART_CASES)
def test_the_error_names_the_key_or_the_value(
    golden: dict[str, Wire], *, name: str, key: bytes | None, value: bytes | None, field: str, expected: str, got: str
) -> None:
    """A key that is not a stream id, and a value that does not fit the kind of record."""
    with pytest.raises(MalformedRecordError) as caught:
        decode(key, value, golden[name].headers)
    assert caught.value.field == field
    assert expected in caught.value.expected
    assert got in caught.value.got


def test_a_repeated_header_is_malformed(golden: dict[str, Wire]) -> None:
    """The codec does not guess which one counts."""
    key, value, headers = golden["video_frame"]
    with pytest.raises(MalformedRecordError, match="ce_startns: expected the header once, got 2 times"):
        decode(key, value, (*headers, ("ce_startns", b"5")))


def test_unknown_headers_may_be_anything(golden: dict[str, Wire]) -> None:
    """Tracing headers and others may be repeated, null or not UTF-8."""
    key, value, headers = golden["video_frame"]
    strangers: tuple[Header, ...] = (("b3", b"\xff"), ("b3", None), ("ce_mood", b""))
    assert decode(key, value, (*headers, *strangers)) == decode(key, value, headers)


def test_a_record_on_the_topic_of_another_modality_is_malformed(golden: dict[str, Wire]) -> None:
    """A frame on the audio topic would join the wrong track."""
    with pytest.raises(MalformedRecordError, match="ce_type: expected a record of the topic's modality audio, got tri"):
        decode(*golden["video_frame"], modality="audio")


def test_a_control_record_defaults_to_the_modality_of_its_topic(golden: dict[str, Wire]) -> None:
    """A foreign producer may omit `ce_subject`; without a topic it is required."""
    key, value, headers = golden["progress"]
    bare = [(name, content) for name, content in headers if name != "ce_subject"]
    assert decode(key, value, bare, modality="audio").modality == "audio"
    with pytest.raises(MalformedRecordError, match="ce_subject: expected one of video, audio, subtitles, got no such"):
        decode(key, value, bare)


@pytest.mark.parametrize("content_type", [b"IMAGE/PNG", b"image/png;q=1", b" image/png ; a=b"])
def test_a_media_type_is_read_without_its_parameters(golden: dict[str, Wire], content_type: bytes) -> None:
    """Case and parameters of a media type are ignored."""
    key, value, headers = golden["video_frame"]
    changed = [(name, content_type if name == "content-type" else content) for name, content in headers]
    assert decode(key, value, changed) == decode(key, value, headers)


@pytest.mark.parametrize("content_type", [None, b"text/plain", b'Text/Plain; charset="UTF-8"'])
def test_the_text_of_a_cue_is_utf_8_with_or_without_a_content_type(
    golden: dict[str, Wire], content_type: bytes | None
) -> None:
    """A foreign producer may omit the content type of a cue."""
    key, value, headers = golden["subtitles_cue"]
    changed = [(name, content) for name, content in headers if name != "content-type"]
    if content_type is not None:
        changed.append(("content-type", content_type))
    assert decode(key, value, changed) == decode(key, value, headers)


# --- results and dead letters -----------------------------------------------------------------------------------------


def _with(path: str, content: object) -> Callable[[dict[str, Any]], None]:
    def change(document: dict[str, Any]) -> None:
        *parents, last = path.split(".")
        for parent in parents:
            document = document[parent]
        document[last] = content

    return change


RESULT_CASES: list[tuple[Callable[[dict[str, Any]], None], str, str, str]] = [
    (lambda document: document.pop("model"), "value.model", "this field", "nothing"),
    (_with("start_ns", "0"), "value.start_ns", "input to be a valid integer", "0"),
    (_with("start_ns", -1), "value.start_ns", "input to be greater than or equal to 0", "-1"),
    (_with("start_ns", 1.0), "value.start_ns", "input to be a valid integer", "1.0"),
    (_with("start_ns", 2**63), "value.start_ns", "less than or equal to 9223372036854775807", "9223372036854775808"),
    (_with("revision", content=True), "value.revision", "input to be a valid integer", "True"),
    (_with("end_ns", 1), "value.end_ns", "an end after the start", "1"),
    (_with("id", "city/1-2/0"), "value.id", "the id that stream, start_ns, end_ns and revision make", "city/1-2/0"),
    (_with("closed_by", "magic"), "value.closed_by", "'progress', 'end', 'idle', 'quiet' or 'bound'", "magic"),
    (_with("modalities.video.state", None), "value.modalities.video.state", "'present', 'held', 'empty'", "None"),
    (_with("modalities.video.offsets", [1]), "value.modalities.video.offsets.1", "this field", "nothing"),
    (_with("observations.speech_share", float("nan")), "value.observations.speech_share", "a finite number", "nan"),
    (_with("stage_ms", {"a": float("inf")}), "value.stage_ms.a", "a finite number", "inf"),
    (_with("predictions", [1]), "value.predictions", "input to be a", "[1]"),
    (_with("predictions", {"k" * 500: 1}), "value.predictions.kkk", "input to be a valid array", "1"),
]


@pytest.mark.parametrize(("change", "field", "expected", "got"), RESULT_CASES)
def test_the_error_of_a_result_gives_the_path_what_was_expected_and_what_came(
    golden: dict[str, Wire], change: Callable[[dict[str, Any]], None], field: str, expected: str, got: str
) -> None:
    """The path is that of the JSON document; no value is coerced."""
    document = json.loads(golden["result_with_all_filled"].value)
    change(document)
    with pytest.raises(MalformedRecordError) as caught:
        parse_result(json.dumps(document))
    assert caught.value.field.startswith(field)
    assert expected in caught.value.expected
    assert got in caught.value.got
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"null",
        b"[]",
        b"1",
        b"\xff",
        b"{",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"9" * 10_000,
        b'{"start_ns":' + b"9" * 10_000 + b"}",
        b'{"id":"\\ud800"}',
        b'{"start_ns":1e400}',
        b"NaN",
        "\ud800",
        '{"id":"\ud800"}',
    ],
    ids=lambda document: str(document[:16])[:20].encode("ascii", "replace").decode(),
)
def test_an_invalid_result_is_malformed(document: bytes | str) -> None:
    """Empty, not an object, not UTF-8, endless nesting and numbers, a lone surrogate."""
    with pytest.raises(MalformedRecordError, match=r"^value"):
        parse_result(document)


def test_a_result_under_the_key_of_another_stream_is_malformed(golden: dict[str, Wire]) -> None:
    """It would be on a partition where nobody looks for it."""
    _, value, headers = golden["result_with_all_filled"]
    with pytest.raises(MalformedRecordError, match="key: expected the result's own stream 'city', got b'town'"):
        decode_result(b"town", value, headers)


def test_each_decoder_accepts_its_own_kind_only(golden: dict[str, Wire]) -> None:
    """A frame is not a result, a result not a dead letter, a dead letter not a frame."""
    with pytest.raises(MalformedRecordError, match=r"ce_type: expected triptych\.result, got triptych\.video\.frame"):
        decode_result(*golden["video_frame"])
    with pytest.raises(MalformedRecordError, match=r"ce_type: expected triptych\.dead, got triptych\.result"):
        decode_dead(*golden["result_with_all_filled"])
    with pytest.raises(MalformedRecordError, match=r"ce_type: expected one of .*, got triptych\.dead"):
        decode(*golden["dead_letter"])
    with pytest.raises(MalformedRecordError, match="value: expected a result as JSON, got null"):
        decode_result(b"city", None, golden["result_with_all_filled"].headers)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("ce_originkey", b"not base64!", "base64"),
        ("ce_originkeyed", b"maybe", "true or false"),
        ("original64-ce_id", b"gA", "base64"),
        ("ce_originpartition", b"-1", "a decimal number"),
        ("ce_origintopic", b"no such topic", "a topic's name"),
        ("ce_pipeline", b".hidden", "a pipeline's name"),
    ],
)
def test_an_invalid_dead_letter_is_malformed(golden: dict[str, Wire], name: str, value: bytes, expected: str) -> None:
    """The headers of a letter's origin are checked like all others."""
    key, content, headers = golden["dead_letter_that_is_not_text"]
    changed = [(other, old) for other, old in headers if other != name]
    with pytest.raises(MalformedRecordError) as caught:
        decode_dead(key, content, [*changed, (name, value)])
    assert caught.value.field == name
    assert expected in caught.value.expected


# --- mutations of valid messages --------------------------------------------------------------------------------------

_odd_values: st.SearchStrategy[bytes | None] = st.one_of(
    st.none(),
    st.binary(),
    st.integers().map(lambda number: str(number).encode()),
    st.text(st.characters(categories=["Nd"]), min_size=1).map(str.encode),
    st.sampled_from(
        [
            b"",
            b"\xff",
            b"\0",
            b"true",
            b"1" * 20,
            b"9" * 6000,
            b"x" * 70_000,
            b"NaN",
            b"1e3",
            b"+1",
            b"video",
            b"\xed\xa0\x80",
        ]
    ),
)
_odd_bytes = st.one_of(st.binary(), st.sampled_from([b"", b"\xff\xfe", b"[" * 5000, b"a" * 200_000]))


@st.composite
def _mutations(draw: st.DrawFn, message: Wire) -> tuple[bytes | None, bytes | None, list[Header]]:
    key: bytes | None = message.key
    value: bytes | None = message.value
    headers: list[Header] = list(message.headers)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(headers) - 1))
        name, content = headers[at]
        match draw(st.sampled_from(["drop", "double", "cut", "odd", "rename", "key", "value", "cut value"])):
            case "drop" if len(headers) > 1:
                del headers[at]
            case "double":
                headers.append((name, draw(_odd_values)))
            case "cut":
                headers[at] = (name, content[: draw(st.integers(0, len(content)))] if content else None)
            case "rename":
                headers[at] = (draw(st.text()), content)
            case "key":
                key = draw(st.none() | _odd_bytes)
            case "value":
                value = draw(st.none() | _odd_bytes)
            case "cut value" if value:
                value = value[: draw(st.integers(0, len(value)))]
            case _:
                headers[at] = (name, draw(_odd_values))
    return key, value, headers


@_many
@given(data=st.data())
def test_a_mutated_message_is_decoded_or_malformed(golden: dict[str, Wire], data: st.DataObject) -> None:
    """Headers are dropped, repeated, cut, renamed, huge, null or not UTF-8: no other error is ever raised."""
    name = data.draw(st.sampled_from(sorted(golden)))
    key, value, headers = data.draw(_mutations(golden[name]))
    modality = data.draw(st.none() | st.sampled_from(MODALITIES))
    for read in (lambda: decode(key, value, headers, modality=modality), lambda: decode_result(key, value, headers)):
        _decode_or_malformed(read)
    _decode_or_malformed(lambda: decode_dead(key, value, headers))


_json = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.sampled_from([2**63, 10**400, ""])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)


@_many
@given(data=st.data())
def test_a_result_with_a_field_replaced_by_any_json_is_decoded_or_malformed(
    golden: dict[str, Wire], data: st.DataObject
) -> None:
    """Huge numbers, NaN, Infinity, other types and lone surrogates, in any field at any depth."""
    document = json.loads(golden["result_with_all_filled"].value)
    place: Any = document
    name = data.draw(st.sampled_from(sorted(place)))
    while isinstance(place[name], dict) and data.draw(st.booleans()):
        place = place[name]
        name = data.draw(st.sampled_from(sorted(place)))
    place[name] = data.draw(_json | st.just("\ud800"))
    text = json.dumps(document, ensure_ascii=data.draw(st.booleans()))
    _decode_or_malformed(lambda: parse_result(text))


@_many
@given(document=st.binary() | st.text() | _json.map(json.dumps))
def test_any_document_is_decoded_or_malformed(document: bytes | str) -> None:
    """No document raises any other error."""
    _decode_or_malformed(lambda: parse_result(document))


def _decode_or_malformed(read: Callable[[], object]) -> None:
    try:
        read()
    except MalformedRecordError as error:
        assert str(error).isprintable()  # noqa: PT017 - an error is one of the two good outcomes
        assert len(str(error)) < 1000  # noqa: PT017
