"""Strips a WAV to its format and sample chunks.

FFmpeg allocates the declared length of a metadata chunk before it checks the data: a record of two hundred bytes can
request a gigabyte of memory.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from triptych.worker.media.errors import UnreadableMediaError

_HEADER_BYTES: Final = 12
_CHUNK_BYTES: Final = 8
_PCM_FORMAT: Final = b"fmt \x10\x00\x00\x00"
"""The head of a format chunk of 16 bytes."""
_PLAIN_BYTES: Final = 44
"""Everything before the samples, where that chunk is the only other one."""


@dataclass(frozen=True, slots=True)
class WavParts:
    """The format and sample chunks of a WAV, without their headers. Views of its bytes."""

    format: memoryview
    samples: memoryview

    def bare(self) -> bytes:
        """Return a WAV without metadata, with the lengths of the data that is there."""
        return _chunk(b"RIFF", b"".join((b"WAVE", _chunk(b"fmt ", self.format), _chunk(b"data", self.samples))))


def wav_parts(data: bytes) -> WavParts:
    """Return the parts of a WAV that matter.

    The header may declare more samples than there are: a program that writes a stream does not know the number.

    Raises:
        UnreadableMediaError: if it is not a WAV, or has no format or sample chunk.
    """
    if data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        raise UnreadableMediaError(f"audio: expected wav that decodes, got bytes that begin with {data[:12]!r}")
    if (
        len(data) >= _PLAIN_BYTES and data[12:20] == _PCM_FORMAT and data[36:40] == b"data"
    ):  # as nearly all programs write it
        view, (length,) = memoryview(data), struct.unpack_from("<I", data, 40)
        return WavParts(view[20:36], view[44 : 44 + length])
    chunks = dict(_chunks(data))
    form, samples = chunks.get(b"fmt "), chunks.get(b"data")
    if form is None or samples is None:
        raise UnreadableMediaError(f"audio: expected wav that decodes, got {len(data)} bytes without format or samples")
    return WavParts(form, samples)


def _chunk(name: bytes, content: bytes | memoryview) -> bytes:
    return b"".join((name, struct.pack("<I", len(content)), content, bytes(len(content) % 2)))


def _chunks(data: bytes) -> Iterator[tuple[bytes, memoryview]]:
    """Yield the chunks up to the samples. The sample chunk may be shorter than it declares."""
    view, at, name = memoryview(data), _HEADER_BYTES, b""
    while at + _CHUNK_BYTES <= len(data) and name != b"data":
        name, (length,) = data[at : at + 4], struct.unpack_from("<I", data, at + 4)
        at += _CHUNK_BYTES
        if at + length <= len(data) or name == b"data":
            yield name, view[at : at + length]
        at += length + length % 2
