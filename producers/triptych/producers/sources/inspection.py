"""Look into a file for what FFmpeg does not say: that an MP4 is unfinished, or that a transport stream is scrambled."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import BinaryIO, Final

_BOX_HEADER: Final = 8
_LONG_BOX_HEADER: Final = 16
_FIRST_BOXES: Final = frozenset({b"ftyp", b"mdat", b"free", b"wide", b"skip"})
_TS_PACKET: Final = 188
_TS_SYNC: Final = b"\x47"
_TS_FLAGS: Final = 3
_SCRAMBLED: Final = 0x80
_TS_SEARCHED: Final = 4_000 * _TS_PACKET


def encrypted(label: str, kind: str) -> str:
    """Return the error message for an encrypted source."""
    return f"{label}: expected a {kind} that can be decoded, got an encrypted one; decrypt it first"


def unfinished(location: str) -> str | None:
    """Return what is wrong with an MP4 or QuickTime file without its whole index (`moov`); None for any other."""
    if not is_regular(Path(location)):
        return None
    with Path(location).open("rb") as file:
        if _box(file)[1] not in _FIRST_BOXES:
            return None
        file.seek(0)
        while True:
            start = file.tell()
            size, kind = _box(file)
            if kind == b"moov" and start + size <= Path(location).stat().st_size:
                return None
            if size < _BOX_HEADER:
                break
            file.seek(start + size)
    return "an unfinished film: its index (moov) is missing; it is still being written or copied, or was broken off"


def _box(file: BinaryIO) -> tuple[int, bytes]:
    """Return the size and the type of the box at the current position; size 0 where there is none, or no other."""
    header = file.read(_BOX_HEADER)
    size, kind = int.from_bytes(header[:4], "big"), header[4:]
    if size == 1:  # a 64-bit size follows
        size = max(_LONG_BOX_HEADER, int.from_bytes(file.read(8), "big"))
    return (size, kind) if len(header) == _BOX_HEADER else (0, b"")


def is_scrambled(location: str) -> bool:
    """Return whether a file is a transport stream most of whose packets of media are scrambled."""
    if not is_regular(Path(location)):
        return False
    with Path(location).open("rb") as file:
        first = file.read(_TS_PACKET)
        if not first.startswith(_TS_SYNC):  # of another format, which need not be read further
            return False
        data = first + file.read(_TS_SEARCHED - _TS_PACKET)
    packets = len(data) // _TS_PACKET
    if data[: packets * _TS_PACKET : _TS_PACKET] != packets * _TS_SYNC:
        return False
    flags = data[_TS_FLAGS::_TS_PACKET][:packets]
    return 2 * sum(bool(each & _SCRAMBLED) for each in flags) > packets


def is_regular(path: Path) -> bool:
    """Return whether a file can be read again and again, unlike a pipe or a device."""
    return stat.S_ISREG(path.stat().st_mode)
