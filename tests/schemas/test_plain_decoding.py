"""The quick decoder accepts only what the checked one accepts, and builds the same records."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.schemas.test_golden import INPUTS
from triptych.schemas.codec import decode, decode_checked, encode
from triptych.schemas.envelope import Wire
from triptych.schemas.errors import MalformedRecordError
from triptych.schemas.names import MODALITIES, Modality
from triptych.schemas.plain_decoding import decode_plain
from triptych.schemas.records import InputRecord

Pairs = tuple[tuple[str, bytes | None], ...]

_WIRES = {name: encode(record) for name, record in INPUTS.items()}
_PLAIN = [name for name, record in INPUTS.items() if not record.redriven and _WIRES[name].headers]
_VALUES = st.one_of(
    st.none(),
    st.binary(max_size=24),
    st.text(max_size=24).map(str.encode),
    st.sampled_from(
        [
            *(
                b"",
                b"0",
                b"007",
                b"1_0",
                b" 1",
                b"+1",
                b"-1",
                b"-0.5",
                b"12.3456",
                b"1e3",
                b"inf",
                b"nan",
                b"0x1",
                b"1.",
            ),
            *(b"9223372036854775807", b"9223372036854775808", b"99999999999999999999", b"\xd9\xa1", b"\xff"),
            *(b"true", b"false", b"True", b"1.0", b"video", b"audio,video", b"video,video", b"audio,", b"a" * 2000),
            *(b"image/jpeg", b"IMAGE/PNG", b"image/gif", b"audio/flac", b"text/plain", b"text/plain;charset=utf-8"),
            *(b"de", b"pt-BR", b"german!", b"rtsp://user:secret@host/a", b"tab\there", "über".encode(), b"65536", b"0"),
        ]
    ),
)
_NAMES = sorted({name for wire in _WIRES.values() for name, _ in wire.headers} | {"traceparent", "ce_redriven"})


def _checked(key: bytes | None, value: bytes | None, headers: Pairs, modality: Modality | None) -> InputRecord | None:
    try:
        return decode_checked(key, value, headers, modality)
    except MalformedRecordError:
        return None


def _state(record: InputRecord) -> tuple[Any, ...]:
    """Return everything that pydantic keeps of a record, in order."""
    return type(record), list(record.__dict__.items()), record.model_fields_set, record.model_extra


def _agree(key: bytes | None, value: bytes | None, headers: Pairs, modality: Modality | None) -> None:
    plain = decode_plain(key, value, headers, modality)
    if plain is not None:
        checked = _checked(key, value, headers, modality)
        assert checked is not None
        assert _state(plain) == _state(checked)
        assert plain.model_dump() == checked.model_dump()
        assert hash(plain) == hash(checked)


@pytest.mark.parametrize("name", _PLAIN)
@pytest.mark.parametrize("states_modality", [True, False])
def test_ordinary_records_are_decoded_quickly(name: str, *, states_modality: bool) -> None:
    """The quick decoder does not leave them to the checked one."""
    wire, record = _WIRES[name], INPUTS[name]
    modality = record.modality if states_modality else None
    plain = decode_plain(wire.key, wire.value, wire.headers, modality)
    assert plain is not None
    assert plain == record
    _agree(wire.key, wire.value, wire.headers, modality)


def test_a_redriven_record_is_left_to_the_checked_path() -> None:
    """Such records are rare, and their headers have rules of their own."""
    wire = _WIRES[_PLAIN[0]]
    headers = (*wire.headers, ("ce_redriven", b"true"), ("ce_letter", b"triptych/triptych.video/0/1"))
    assert decode_plain(wire.key, wire.value, headers, None) is None
    assert decode(wire.key, wire.value, headers).redriven


_Change = Callable[[Pairs], Pairs]


def _dropped(name: str) -> _Change:
    return lambda pairs: tuple(pair for pair in pairs if pair[0] != name)


def _set_to(name: str, value: bytes | None) -> _Change:
    return lambda pairs: (*(pair for pair in pairs if pair[0] != name), (name, value))


def _repeated(name: str, value: bytes | None) -> _Change:
    return lambda pairs: (*pairs, (name, value))


_CHANGES = st.lists(
    st.one_of(
        st.builds(_dropped, st.sampled_from(_NAMES)),
        st.builds(_set_to, st.sampled_from(_NAMES), _VALUES),
        st.builds(_repeated, st.sampled_from(_NAMES), _VALUES),
    ),
    min_size=1,
    max_size=3,
)
_KEYS = st.one_of(st.none(), st.sampled_from([b"city", b"", b"a b", b"x" * 129, b"\xff"]), st.binary(max_size=8))


@given(
    name=st.sampled_from(sorted(_WIRES)),
    changes=_CHANGES,
    key=st.one_of(st.just(b"city"), _KEYS),
    value=st.one_of(st.none(), st.just(b""), st.just(b"bytes"), st.just(b"\xff\xfe")),
    keeps_value=st.booleans(),
    modality=st.sampled_from([None, *MODALITIES]),
)
def test_a_changed_message_is_decoded_alike(
    *,
    name: str,
    changes: list[_Change],
    key: bytes | None,
    value: bytes | None,
    keeps_value: bool,
    modality: Modality | None,
) -> None:
    """Whatever the quick decoder accepts, the checked one accepts too, with the same record."""
    wire = _WIRES[name]
    headers = cast("Pairs", wire.headers)
    for change in changes:
        headers = change(headers)
    _agree(key, wire.value if keeps_value else value, headers, modality)


@given(names=st.lists(_VALUES, min_size=2, max_size=2), field=st.sampled_from(_NAMES))
def test_every_single_header_is_decoded_alike(names: list[bytes | None], field: str) -> None:
    """With nothing else changed, so that no other fault hides a difference; twice, because values are cached."""
    for wire in _WIRES.values():
        for value in [*names, *names]:
            _agree(wire.key, wire.value, _set_to(field, value)(wire.headers), None)


def test_a_malformed_header_is_reported_by_the_checked_path() -> None:
    """The error names the header, although the quick decoder saw it first."""
    wire = replace_header(_WIRES["video_frame"], "ce_startns", b"-5")
    with pytest.raises(MalformedRecordError, match="ce_startns: expected a decimal number"):
        decode(*wire)


def replace_header(wire: Wire, name: str, value: bytes) -> Wire:
    """Return the message with another value of one header."""
    return wire._replace(headers=tuple((own, value if own == name else text) for own, text in wire.headers))
