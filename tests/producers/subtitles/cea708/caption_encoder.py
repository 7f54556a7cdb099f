"""Encode CEA-708 captions: commands into service blocks, packets, caption bytes of frames, and an H.264 stream."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import count
from pathlib import Path

import av
import numpy as np

PADDING = b"\xfa\x00\x00"
NO_LINE_21 = b"\xfc\x80\x80"
PAIRS_A_FRAME = 10


def select(window: int) -> bytes:
    """Return SetCurrentWindow."""
    return bytes([0x80 + window])


def define(window: int, *, rows: int = 2, columns: int = 32, visible: bool = False, top: int = 60) -> bytes:
    """Return DefineWindow."""
    return bytes([0x98 + window, 0x20 * visible | 0x18, top, 10, rows - 1, columns - 1, 0x09])


def clear(*windows: int) -> bytes:
    """Return ClearWindows."""
    return _on(0x88, windows)


def display(*windows: int) -> bytes:
    """Return DisplayWindows."""
    return _on(0x89, windows)


def hide(*windows: int) -> bytes:
    """Return HideWindows."""
    return _on(0x8A, windows)


def toggle(*windows: int) -> bytes:
    """Return ToggleWindows."""
    return _on(0x8B, windows)


def delete(*windows: int) -> bytes:
    """Return DeleteWindows."""
    return _on(0x8C, windows)


def delay(tenths: int) -> bytes:
    """Return Delay."""
    return bytes([0x8D, tenths])


def pen(row: int, column: int) -> bytes:
    """Return SetPenLocation."""
    return bytes([0x92, row, column])


PEN_STYLE = b"\x90\x05\x00"
PEN_COLOR = b"\x91\x3f\x00\x00"
WINDOW_STYLE = b"\x97\x00\x00\x0c\x00"
NO_DELAY, RESET = b"\x8e", b"\x8f"
BACKSPACE, FORM_FEED, RETURN, ROW_RETURN = b"\x08", b"\x0c", b"\r", b"\x0e"


def _on(code: int, windows: tuple[int, ...]) -> bytes:
    return bytes([code, sum(1 << window for window in windows)])


class Encoder:
    """Make packets with running sequence numbers."""

    def __init__(self) -> None:
        self._numbers = count()

    def packet(self, content: bytes, *, service: int = 1) -> bytes:
        """Return a packet with one service block, padded to an even size."""
        assert len(content) < 32
        extended = service > 6
        header = bytes([(7 if extended else service) << 5 | len(content)]) + (bytes([service]) if extended else b"")
        body = header + content
        body += bytes(1 - len(body) % 2)
        size = len(body) + 1
        assert size < 128
        return bytes([next(self._numbers) % 4 << 6 | size // 2]) + body

    def frames(self, *commands: bytes, service: int = 1) -> Iterator[bytes]:
        """Yield the caption bytes of as many frames as the commands need. Each command has a packet of its own."""
        pairs: list[bytes] = []
        for command in commands:
            packet = self.packet(command, service=service)
            pairs += [bytes([0xFF if at == 0 else 0xFE]) + packet[at : at + 2] for at in range(0, len(packet), 2)]
        for at in range(0, len(pairs), PAIRS_A_FRAME):
            yield NO_LINE_21 + b"".join(pairs[at : at + PAIRS_A_FRAME]) + PADDING


def write_media(path: Path, captions: dict[int, bytes], *, frames: int, rate: int = 25, bare: int = 0) -> Path:
    """Write a video whose frames carry caption bytes, by frame number, but nothing in the first `bare` of them."""
    options = {"bf": "0", "g": str(rate), "preset": "ultrafast", "a53cc": "0"}
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=rate, options=options)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        packets: list[av.Packet] = []
        for number in range(frames):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), number % 250, np.uint8), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, rate)
            packets += video.encode(frame)
        packets += video.encode(None)
        for number, packet in enumerate(packets):
            message = _message(captions.get(number, NO_LINE_21 + PADDING))
            carrying = av.Packet(bytes(packet) if number < bare else message + bytes(packet))
            carrying.pts, carrying.dts, carrying.time_base = packet.pts, packet.dts, packet.time_base
            carrying.stream, carrying.is_keyframe = packet.stream, packet.is_keyframe
            container.mux(carrying)
    return path


def _message(content: bytes) -> bytes:
    """Return an H.264 SEI message (registered user data, ATSC A/53) with caption bytes."""
    assert len(content) % 3 == 0
    data = b"\xb5\x00\x31GA94\x03" + bytes([0x40 | len(content) // 3, 0xFF]) + content + b"\xff"
    raw = bytes([0x04, len(data)]) + data + b"\x80"
    escaped = bytearray()
    for byte in raw:
        if escaped[-2:] == b"\x00\x00" and byte <= 3:
            escaped.append(3)
        escaped.append(byte)
    return b"\x00\x00\x00\x01\x06" + bytes(escaped)
