"""Decode captions that exist as CEA-708 only: from the caption bytes of frames to the text on the screen and its span.

FFmpeg has no CEA-708 decoder. This one follows CTA-708-E: the packets of chapter 5 and the service blocks of chapter 6.
Codes and windows have modules of their own. Only the first service is read, the primary language of the programme.
Pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from triptych.producers.subtitles.cea708.service import Service
from triptych.producers.subtitles.cue import Cue

_VALID: Final = 0x04
_TYPE: Final = 0x03
_CONTINUES, _BEGINS = 2, 3
_PRIMARY: Final = 1
_EXTENDED: Final = 7
_SAME_CAPTION_NS: Final = 1_000_000_000
"""A row that is added within this time belongs to the same caption; a later one begins another."""


class DtvccCaptions:
    """Follow the primary caption service. Frames come in presentation order.

    Attributes:
        shown_since_ns: since when there is text on the screen; None where it is empty.
        shown: the text on the screen.
    """

    def __init__(self) -> None:
        self._packet = bytearray()
        self._sequence: int | None = None
        self._service = Service()
        self.shown_since_ns: int | None = None
        self.shown = ""

    def feed(self, content: bytes, at_ns: int) -> Cue | None:
        """Take the caption bytes of one frame, which may be none; return the caption that leaves the screen with it."""
        self._service.run_until(at_ns)
        for at in range(0, len(content) - 2, 3):
            kind = content[at] & _TYPE
            if content[at] & _VALID and kind in {_BEGINS, _CONTINUES}:
                for block in self._blocks(content[at + 1 : at + 3], begins=kind == _BEGINS):
                    self._service.feed(block, at_ns)
        return self._update_screen(at_ns)

    def _update_screen(self, at_ns: int) -> Cue | None:
        """Compare the screen with what was on it before. Text that is still being written belongs to one caption."""
        text, before, since_ns = self._service.text, self.shown, self.shown_since_ns
        if text == before:
            return None
        self.shown = text
        if (
            since_ns is not None
            and text.startswith(before)
            and ("\n" not in text[len(before) :] or at_ns - since_ns < _SAME_CAPTION_NS)
        ):
            return None
        self.shown_since_ns = at_ns if text else None
        return None if since_ns is None else Cue(since_ns, at_ns, before)

    def _blocks(self, pair: bytes, *, begins: bool) -> Iterator[bytes]:
        """Append two bytes to the packet; once it is complete, yield the blocks of the primary service."""
        if begins:
            self._packet.clear()
        elif not self._packet:
            return  # the start of the packet is missing
        self._packet += pair
        size = (self._packet[0] & 0x3F or 64) * 2
        if len(self._packet) < size:
            return
        packet = bytes(self._packet[:size])
        self._packet.clear()
        sequence = packet[0] >> 6
        if self._sequence is not None and sequence != (self._sequence + 1) % 4:
            self._service.reset()
        self._sequence = sequence
        yield from _service_blocks(packet[1:])


def _service_blocks(content: bytes) -> Iterator[bytes]:
    """Yield the blocks of the primary service."""
    at = 0
    while at < len(content):
        number, size = content[at] >> 5, content[at] & 0x1F
        if number == 0:
            return  # the rest is padding
        at += 2 if number == _EXTENDED and size else 1
        if number == _PRIMARY and size:
            yield content[at : at + size]
        at += size
