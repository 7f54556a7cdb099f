"""The shape of the pixels of each frame, which may change in mid-stream.

PyAV does not tell the shape that a frame states. But the decoder's context has it right after the frame's packet was
decoded, so it is noted by timestamp until the frame comes.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Final

from av.video.stream import VideoStream

_MAX_NOTED: Final = 64
"""More than any decoder reorders."""


class PixelAspect:
    """Follow the pixel aspect of one video track. It lives as long as the stream is open.

    What the container states holds, as in players, until the coded stream changes its own value.
    """

    def __init__(self, stream: VideoStream) -> None:
        self._stream = stream
        self._stated = stream.sample_aspect_ratio or Fraction(1)
        self._coded = stream.codec_context.sample_aspect_ratio
        self._noted: dict[int, Fraction] = {}

    def note(self, pts: int | None) -> None:
        """Take the timestamp of a packet that was just decoded."""
        if pts is not None:
            self._noted[pts] = self._current()
            if len(self._noted) > _MAX_NOTED:
                del self._noted[next(iter(self._noted))]

    def at(self, pts: int | None) -> Fraction:
        """Return the width of a pixel divided by its height, of the frame with this timestamp."""
        found = None if pts is None else self._noted.pop(pts, None)
        return found or self._current()

    def _current(self) -> Fraction:
        coded = self._stream.codec_context.sample_aspect_ratio
        return self._stated if coded == self._coded or not coded else coded
