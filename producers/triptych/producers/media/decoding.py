"""Decode packets, and skip those that are damaged."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import av

FrameT = TypeVar("FrameT")
PacketT = TypeVar("PacketT")


def decode_or_skip(decode: Callable[[PacketT | None], Sequence[FrameT]], packet: PacketT | None) -> Sequence[FrameT]:
    """Return the frames of a packet; none where the packet is damaged.

    Args:
        decode: the `decode` of a codec context.
        packet: what to decode; None to drain the decoder.
    """
    try:
        return decode(packet)
    except av.error.FFmpegError:
        return ()
