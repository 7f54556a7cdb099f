"""Invalid input records, and valid ones that look invalid: each created by hand, with the expected reason."""

from __future__ import annotations

import struct
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from tests.worker.world import Feed, jpeg, wav
from triptych.schemas.codec import encode
from triptych.schemas.names import AUDIO_TOPIC, SUBTITLES_TOPIC, TOPIC_OF, VIDEO_TOPIC
from triptych.schemas.partition import partition_of
from triptych.schemas.reasons import DeadReason
from triptych.schemas.records import InputRecord
from triptych.transport.records import Message

PARTITIONS = 6
DAY_NS = 86_400 * 10**9


@dataclass(frozen=True, slots=True)
class Poison:
    """A record, named after its stream, and the reason to dead-letter it; None if it is converted and used.

    If `is_media`, the defect is only found when its window is prepared.
    """

    name: str
    message: Message
    code: DeadReason | None
    is_media: bool = False


# --- media ------------------------------------------------------------------------------------------------------------


def truncated_jpeg() -> bytes:
    """Return the first half of an image."""
    noise = np.random.default_rng(7).integers(0, 255, (64, 64, 3), np.uint8)
    return cv2.imencode(".jpg", noise)[1].tobytes()[:2_000]


def huge_jpeg() -> bytes:
    """Return a small image that declares 20,000 times 20,000 pixels."""
    data = bytearray(jpeg())
    at = data.index(b"\xff\xc0")
    struct.pack_into(">HH", data, at + 5, 20_000, 20_000)
    return bytes(data)


def png(width: int, height: int, *, idat: bytes) -> bytes:
    """Return an 8-bit RGB image with the given compressed rows."""
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)), (b"IDAT", idat), (b"IEND", b"")]
    packed = (
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


def zeros(count: int) -> bytes:
    """Return at least `count` zero bytes, compressed by zlib to a thousandth: one compressed block, repeated."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    blocks = -(-count // (1 << 20))
    checksum = struct.pack(">HH", (blocks << 20) % 65_521, 1)  # Adler-32 of zeros
    return b"\x78\xda" + block * blocks + b"\x03\x00" + checksum


def png_bomb() -> bytes:
    """Return an image of 900 million pixels whose 2.7 GB are compressed into less than 3 MB."""
    return png(30_000, 30_000, idat=zeros(2_700_030_000))


def pcm(samples: np.ndarray[Any, Any], *, rate_hz: int, bits: int) -> bytes:
    """Return samples `[S, C]` as an integer WAV."""
    channels = samples.shape[1]
    frame = channels * bits // 8
    fmt = struct.pack("<HHIIHH", 1, channels, rate_hz, rate_hz * frame, frame, bits)
    body = b"WAVEfmt " + struct.pack("<I", 16) + fmt + b"data" + struct.pack("<I", samples.nbytes) + samples.tobytes()
    return b"RIFF" + struct.pack("<I", len(body)) + body


def eight_bits() -> bytes:
    """Return half a second of an unsigned 8-bit tone."""
    moments = np.arange(8_000) / 16_000
    return pcm((128 + 60 * np.sin(2 * np.pi * 440 * moments)).astype(np.uint8)[:, None], rate_hz=16_000, bits=8)


def surround() -> bytes:
    """Return half a second of six channels at 48 kHz."""
    return pcm(np.full((24_000, 6), 3_000, "<i2"), rate_hz=48_000, bits=16)


def lying_wav() -> bytes:
    """Return half a second of audio whose header declares a sixth of a second."""
    data = bytearray(wav(0.5))
    struct.pack_into("<I", data, 24, 48_000)
    return bytes(data)


GIF = b"GIF89a\x01\x00\x01\x00\x00\x00\x00;"


# --- records ----------------------------------------------------------------------------------------------------------


def message_of(record: InputRecord, **headers: bytes | None) -> Message:
    """Return the message of a record with some headers changed or removed."""
    wire = encode(record)
    names = {name.replace("_", "-") if name == "content_type" else name: value for name, value in headers.items()}
    kept = [(name, value) for name, value in wire.headers if name not in names]
    changed = [(name, value) for name, value in names.items() if value is not None]
    return Message(TOPIC_OF[record.modality], wire.key, wire.value, (*kept, *changed))


def _on(message: Message, topic: str) -> Message:
    return Message(topic, message.key, message.value, message.headers)


def poisons() -> Iterator[Poison]:
    """Return every class of invalid input, each on its own stream."""
    yield from _bad_media()
    yield from _bad_records()
    yield from _good_media()


def _bad_media() -> Iterator[Poison]:
    pictures = {
        "truncated-jpeg": (truncated_jpeg(), DeadReason.BROKEN_MEDIA),
        "huge-jpeg": (huge_jpeg(), DeadReason.TOO_LARGE),
        "png-bomb": (png_bomb(), DeadReason.TOO_LARGE),
        "gif": (GIF, DeadReason.UNKNOWN_FORMAT),
    }
    for name, (data, code) in pictures.items():
        yield Poison(name, message_of(Feed(name, tracks=("video",)).frame(0, data)), code, is_media=True)
    sound = Feed("lying-wav", tracks=("audio",)).chunk(0, lying_wav())
    yield Poison("lying-wav", message_of(sound), DeadReason.WRONG_LENGTH, is_media=True)


def _good_media() -> Iterator[Poison]:
    for name, data in {"eight-bits": eight_bits(), "surround": surround()}.items():
        yield Poison(name, message_of(Feed(name, tracks=("audio",)).chunk(0, data)), None, is_media=True)


def _bad_records() -> Iterator[Poison]:
    def frame(name: str, **headers: bytes | None) -> Message:
        return message_of(Feed(name).frame(0), **headers)

    cue = message_of(Feed("not-utf8").cue(0, 1, "x", 2))
    yield Poison("not-utf8", Message(SUBTITLES_TOPIC, cue.key, b"\xc3\x28", cue.headers), DeadReason.NOT_UTF8)
    long = message_of(Feed("long-cue").cue(0, 1, "x" * 70_000, 2))
    yield Poison("long-cue", long, DeadReason.TOO_LARGE)
    yield Poison("no-session", frame("no-session", ce_session=None), DeadReason.MISSING_HEADER)
    yield Poison("bad-time", frame("bad-time", ce_startns=b"soon"), DeadReason.BAD_HEADER)
    ahead = str(time.time_ns() + 3 * DAY_NS).encode()
    yield Poison("future", frame("future", ce_startns=ahead, ce_nextns=None), DeadReason.FUTURE)
    spaced = frame("two-words")
    yield Poison("two words", Message(VIDEO_TOPIC, b"two words", spaced.value, spaced.headers), DeadReason.BAD_STREAM)
    stray = frame("stray")
    wrong = (partition_of(b"stray", PARTITIONS) + 1) % PARTITIONS
    yield Poison(
        "stray", Message(VIDEO_TOPIC, stray.key, stray.value, stray.headers, wrong), DeadReason.WRONG_PARTITION
    )
    yield Poison("next-version", frame("next-version", ce_specversion=b"2.0"), DeadReason.VERSION)
    hollow = frame("hollow")
    yield Poison("hollow", Message(VIDEO_TOPIC, hollow.key, b"", hollow.headers), DeadReason.EMPTY_VALUE)
    yield Poison("smell", frame("smell", ce_type=b"triptych.smell.sniff", x=b"\xff"), DeadReason.UNKNOWN_TYPE)
    yield Poison("crossed", _on(frame("crossed"), AUDIO_TOPIC), DeadReason.WRONG_TOPIC)
    progress = message_of(Feed("talking-progress").progress("video", 0, 1))
    yield Poison(
        "talking-progress", Message(VIDEO_TOPIC, progress.key, b"bytes", progress.headers), DeadReason.BAD_VALUE
    )
