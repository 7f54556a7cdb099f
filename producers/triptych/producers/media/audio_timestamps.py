"""Correct audio timestamps that FFmpeg has derived from a sample rate that no longer holds.

A packet of a transport stream holds several frames, and only the first has a timestamp. FFmpeg adds the duration of a
frame for each of the others: by the sample rate with which the stream began. Where the rate changes in mid-stream,
these are wrong by a few milliseconds each. They are recognised by following their predecessor by exactly that duration.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any, Final

from av.packet import Packet

_ROUNDING_TICKS: Final = 2


class AudioTimestamps:
    """Follow the timestamps of one audio track."""

    def __init__(self) -> None:
        self._first_rate: int | None = None
        self._frame_s: Fraction | None = None
        self._stated_end: int | None = None
        self._at: Fraction | int = 0
        self._end: Fraction | int = 0
        self._tick_s: Fraction | None = None

    def observe(self, frame: Any) -> None:  # noqa: ANN401 - an audio frame; PyAV's decoders do not say which
        """Take a decoded frame. A duration is known once the sample rate differs from that of the first frame."""
        self._first_rate = self._first_rate or frame.sample_rate
        has_changed = frame.sample_rate != self._first_rate and frame.samples
        frame_s = Fraction(frame.samples, frame.sample_rate) if has_changed else None
        if frame_s is not None and frame_s != self._frame_s:  # of the last packet too, whose duration was not known
            self._end = self._at + frame_s / (self._tick_s or 1)
        self._frame_s = frame_s

    def correct(self, packet: Packet[Any]) -> int | None:
        """Return the decoding timestamp of a packet, in ticks, where it differs from the stated one."""
        if packet.dts is None or not packet.duration:
            return None
        if self._tick_s is None:  # it does not change, and PyAV makes a fraction of it at each look
            stated: Fraction | None = packet.time_base  # the stubs say that there always is one
            if stated is None:
                return None
            self._tick_s = stated
        stated_end, self._stated_end = self._stated_end, packet.dts + packet.duration
        is_derived = stated_end is not None and abs(packet.dts - stated_end) <= _ROUNDING_TICKS
        at = self._end if is_derived and self._frame_s is not None else packet.dts
        self._at = at
        self._end = at + (packet.duration if self._frame_s is None else self._frame_s / self._tick_s)
        return round(at) if round(at) != packet.dts else None
