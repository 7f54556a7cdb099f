"""What a WAV needs to be heard: its format and its samples, and no note.

FFmpeg believes the length of a note before it looks whether there is so much: two hundred bytes of record can ask for a
gigabyte of memory.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

from triptych.worker.media.errors import UnreadableMediaError

_HEADER_BYTES: Final = 12
_CHUNK_BYTES: Final = 8


def bare_wav(data: bytes) -> bytes:
    """Return the sound alone, with lengths that are true; raise `UnreadableMediaError` where it is no WAV.

    Samples that the header counts and that are not there are not counted any more: whoever writes while the sound goes
    on cannot know how many there will be.
    """
    if data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        raise UnreadableMediaError(f"sound: expected wav that decodes, got bytes that begin with {data[:12]!r}")
    chunks = dict(_chunks(data))
    form, samples = chunks.get(b"fmt "), chunks.get(b"data")
    if form is None or samples is None:
        raise UnreadableMediaError(f"sound: expected wav that decodes, got {len(data)} bytes without format or samples")
    body = b"".join((b"WAVE", _chunk(b"fmt ", form), _chunk(b"data", samples)))
    return _chunk(b"RIFF", body)


def _chunk(name: bytes, content: bytes | memoryview) -> bytes:
    return b"".join((name, struct.pack("<I", len(content)), content, bytes(len(content) % 2)))


def _chunks(data: bytes) -> Iterator[tuple[bytes, memoryview]]:
    """Return the chunks up to the samples, these as far as they are there."""
    view, at, name = memoryview(data), _HEADER_BYTES, b""
    while at + _CHUNK_BYTES <= len(data) and name != b"data":
        name, (length,) = data[at : at + 4], struct.unpack_from("<I", data, at + 4)
        at += _CHUNK_BYTES
        if at + length <= len(data) or name == b"data":
            yield name, view[at : at + length]
        at += length + length % 2
