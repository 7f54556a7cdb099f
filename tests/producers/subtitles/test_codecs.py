"""Subtitles without text are skipped with one warning, and the rest is played."""

from __future__ import annotations

import struct
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from structlog.testing import capture_logs

from triptych.schemas.records import InputRecord, SubtitleCue, VideoFrame

PACKET_BYTES = 188
DVB_SUBTITLES, TELETEXT, STREAM_IDENTIFIER = b"\x59\x08", b"\x56\x05", b"\x52\x01\x00"


def segment(kind: int, body: bytes) -> bytes:
    """Return a segment of DVB subtitles (ETSI EN 300 743) for the first page."""
    return struct.pack(">BBHH", 0x0F, kind, 1, len(body)) + body


def bitmap() -> bytes:
    """Return a page that shows a few white pixels."""
    points = bytes([0x10, 0x55, 0x55, 0x00, 0xF0])
    return b"".join(
        (
            segment(0x10, struct.pack(">BBBBHH", 5, 0x08, 0, 0, 20, 20)),
            segment(0x11, struct.pack(">BBHHBBBBHHH", 0, 0x08, 8, 8, 0x24, 0, 0, 0, 0, 0, 0)),
            segment(0x12, bytes([0, 0, 1, 0x81, 0x80, 0x80, 0x80, 0])),
            segment(0x13, struct.pack(">HBHH", 0, 0, len(points), 0) + points),
            segment(0x80, b""),
        )
    )


def with_bitmaps(path: Path) -> Path:
    """Write a video of 2 s with a track of DVB subtitles."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=25, options={"bf": "0"})
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        text_stream = container.add_stream("dvbsub")
        for number in range(50):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), number, np.uint8), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(video.encode(frame))
            if number % 20 == 5:
                packet = av.Packet(bitmap())
                packet.stream, packet.time_base = text_stream, Fraction(1, 25)
                packet.pts = packet.dts = number
                container.mux(packet)
        container.mux(video.encode(None))
    return path


def with_teletext(path: Path) -> Path:
    """Write the same video, with the track declared as teletext, which FFmpeg cannot write."""
    content = bytearray(with_bitmaps(path).read_bytes())
    for start in range(0, len(content), PACKET_BYTES):
        packet = bytes(content[start : start + PACKET_BYTES])
        at = packet.find(DVB_SUBTITLES)
        if packet[5:6] != b"\x02" or at < 0:  # not the programme map table
            continue
        descriptors = TELETEXT + b"eng" + b"\x10\x88" + STREAM_IDENTIFIER
        packet = packet[:at] + descriptors + packet[at + len(descriptors) :]
        end = 8 + (struct.unpack_from(">H", packet, 6)[0] & 0x0FFF)
        content[start : start + PACKET_BYTES] = packet[: end - 4] + crc(packet[5 : end - 4]) + packet[end:]
    path.write_bytes(content)
    return path


def crc(section: bytes) -> bytes:
    """Return the checksum of an MPEG table section (ISO/IEC 13818-1, annex A)."""
    value = 0xFFFFFFFF
    for byte in section:
        value ^= byte << 24
        for _ in range(8):
            value = (value << 1 ^ 0x04C11DB7 * (value >> 31)) & 0xFFFFFFFF
    return struct.pack(">I", value)


@pytest.mark.parametrize(("write", "codec"), [(with_bitmaps, "dvbsub"), (with_teletext, "teletext")])
def test_subtitles_without_text_are_skipped_with_a_warning(
    tmp_path: Path, play: Callable[..., Any], write: Callable[[Path], Path], codec: str
) -> None:
    """DVB bitmaps and teletext: the stream announces no subtitles, and all frames are sent."""
    path = write(tmp_path / "film.ts")
    with capture_logs() as logs:
        records: list[InputRecord] = play(path)

    assert [(log["event"], log["codec"]) for log in logs] == [("subtitles_skipped", codec)]
    assert {record.tracks for record in records} == {("video",)}
    assert sum(isinstance(record, VideoFrame) for record in records) == 8
    assert not [record for record in records if isinstance(record, SubtitleCue)]
