"""Poison records: invalid records that are dead-lettered, while their window is published without them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Final

from tests.e2e.poison import GIF, PARTITIONS, huge_jpeg, lying_wav, message_of, truncated_jpeg
from triptych.schemas.names import SUBTITLES_TOPIC, Modality
from triptych.schemas.partition import partition_of
from triptych.schemas.records import InputRecord
from triptych.transport.records import Message


@dataclass(frozen=True, slots=True)
class Poisoning:
    """A way to make a record of one modality invalid, and whether a worker finds out when it reads the record."""

    name: str
    modality: Modality
    spoil: Callable[[InputRecord], Message]
    is_found_on_reading: bool = True


def _media(data: Callable[[], bytes]) -> Callable[[InputRecord], Message]:
    return lambda record: message_of(record.model_copy(update={"data": data()}))


def _headers(**headers: bytes | None) -> Callable[[InputRecord], Message]:
    return lambda record: message_of(record, **headers)


def _value(data: bytes) -> Callable[[InputRecord], Message]:
    def spoil(record: InputRecord) -> Message:
        valid = message_of(record)
        return Message(valid.topic, valid.key, data, valid.headers)

    return spoil


def _on_wrong_partition(record: InputRecord) -> Message:
    valid = message_of(record)
    wrong = (partition_of(valid.key, PARTITIONS) + 1) % PARTITIONS
    return Message(valid.topic, valid.key, valid.value, valid.headers, wrong)


def _on_subtitles(record: InputRecord) -> Message:
    valid = message_of(record)
    return Message(SUBTITLES_TOPIC, valid.key, valid.value, valid.headers)


POISONS: Final = (
    Poisoning("truncated JPEG", "video", _media(cache(truncated_jpeg)), is_found_on_reading=False),
    Poisoning("JPEG of 400 million pixels", "video", _media(cache(huge_jpeg)), is_found_on_reading=False),
    Poisoning("GIF", "video", _media(lambda: GIF), is_found_on_reading=False),
    Poisoning("WAV with a lying header", "audio", _media(cache(lying_wav)), is_found_on_reading=False),
    Poisoning("no session", "video", _headers(ce_session=None)),
    Poisoning("time that is no number", "audio", _headers(ce_startns=b"soon")),
    Poisoning("version from the future", "audio", _headers(ce_specversion=b"2.0")),
    Poisoning("unknown type", "video", _headers(ce_type=b"triptych.smell.sniff")),
    Poisoning("text that is not UTF-8", "subtitles", _value(b"\xc3\x28")),
    Poisoning("frame without bytes", "video", _value(b"")),
    Poisoning("partition that is not its key's", "video", _on_wrong_partition),
    Poisoning("audio chunk on the subtitles topic", "audio", _on_subtitles),
)
