"""Decode packets, skip and count those that cannot be decoded, and tell when that are too many."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import av
from av.packet import Packet

DECODER_ERRORS: Final = (av.error.FFmpegError, ValueError)
"""What damaged media raises: decoders, resamplers and scalers reject it, and PyAV rejects what it cannot represent."""

_MIN_PACKETS: Final = 200
"""The number of packets before which nothing is concluded from those that could not be decoded."""

_MAX_SHARE: Final = 0.5
"""The share of packets that may fail. More is no transmission error, but encryption, or the wrong decoder."""


class TrackDecoder:
    """Decode the packets of one track. It outlives passes and sessions.

    What comes before the first key frame of a live feed counts as broken, but not towards the share. So does what comes
    after a jump and before the next key frame: without the frames that it refers to, it yields no picture.

    Attributes:
        packets: the packets that were given to the decoder.
        broken: those that it rejected, or whose frame it marked as corrupt.
        reason: the first error.
    """

    def __init__(self, *, is_live: bool, on_frame: Callable[[Any], None] | None = None) -> None:
        """Judge a live feed by its last packets, and a file by all of them. Call `on_frame` with each frame."""
        self._on_frame = on_frame
        self._is_live = is_live
        self._has_begun = False
        self._awaits_key_frame = False
        self._unusable = 0
        self._recent_packets = 0
        self._recent_broken = 0
        self.packets = 0
        self.broken = 0
        self.reason: str | None = None

    def decode(self, stream: Any, packet: Packet[Any] | None) -> Sequence[Any]:  # noqa: ANN401 - of video or audio
        """Return the frames of a packet; none where it is damaged.

        Args:
            stream: the stream of the packet.
            packet: what to decode; None to drain the decoder.
        """
        if packet is not None:
            self._count(packet)
        try:
            frames: Sequence[Any] = stream.codec_context.decode(packet)
        except DECODER_ERRORS as error:
            if packet is not None:
                self.fail(str(error))
            return ()
        if self._awaits_key_frame and packet is not None:
            self._count_without_key_frame(packet, has_frames=bool(frames))
        for frame in frames:
            if self._on_frame is not None:
                self._on_frame(frame)
            if frame.is_corrupt:
                self.fail("the decoder had to conceal errors")
        return frames

    def flush(self, stream: Any) -> None:  # noqa: ANN401 - as above
        """Discard what the decoder still holds, because the timestamps have jumped."""
        stream.codec_context.flush_buffers()
        self._awaits_key_frame = True

    def fail(self, reason: str) -> None:
        """Count a packet that was of no use."""
        self.broken += 1
        self._recent_broken += self._has_begun
        self.reason = self.reason or reason

    @property
    def fails_by_now(self) -> bool:
        """Whether too many packets could not be decoded, as far as played."""
        return self._recent_packets >= _MIN_PACKETS and self._recent_broken > _MAX_SHARE * self._recent_packets

    @property
    def has_failed(self) -> bool:
        """Whether too many packets could not be decoded, when the source has ended."""
        return self.broken - self._unusable > _MAX_SHARE * self.packets

    def _count_without_key_frame(self, packet: Packet[Any], *, has_frames: bool) -> None:
        """Count a packet that follows a jump, while the decoder waits for a key frame."""
        self._awaits_key_frame = not (packet.is_keyframe or has_frames)
        if self._awaits_key_frame:
            self.broken += 1
            self._unusable += 1
            self.reason = self.reason or "after a jump of the timestamps, there is no picture before the next key frame"

    def _count(self, packet: Packet[Any]) -> None:
        self.packets += 1
        self._has_begun = self._has_begun or packet.is_keyframe
        self._recent_packets += self._has_begun
        if self._is_live and self._recent_packets >= 2 * _MIN_PACKETS:
            self._recent_packets //= 2
            self._recent_broken //= 2
