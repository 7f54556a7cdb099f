"""The duration and the tracks of a media file, read from its headers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import av

from triptych.schemas.errors import UsageError

_STILL_FORMATS: Final = ("image2", "png_pipe", "jpeg_pipe", "webp_pipe")


@dataclass(frozen=True, slots=True)
class Probe:
    """Duration in seconds (0 for an image), and which tracks a file has."""

    seconds: float
    has_video: bool
    has_audio: bool


ProbeFile = Callable[[Path], Probe]


def probe(file: Path) -> Probe:
    """Return the duration and tracks of a media file.

    Raises:
        UsageError: it is missing or broken, or has neither video nor audio.
    """
    try:
        with av.open(str(file)) as container:
            found = Probe(_seconds(container), bool(container.streams.video), bool(container.streams.audio))
            if container.format.name in _STILL_FORMATS:
                next(container.decode(video=0))
                found = Probe(0.0, has_video=True, has_audio=False)
    except (av.FFmpegError, OSError, StopIteration) as error:
        raise UsageError(f"{file}: expected a media file, got: {str(error) or type(error).__name__}") from error
    if not (found.has_video or found.has_audio):
        raise UsageError(f"{file}: expected video or audio, got neither")
    return found


def _seconds(container: av.container.InputContainer) -> float:
    if container.duration is not None:
        return container.duration / av.time_base
    ends = [
        float((packet.pts + (packet.duration or 0)) * packet.time_base)
        for packet in container.demux()
        if packet.pts is not None and packet.time_base is not None
    ]
    container.seek(0)
    return max(ends, default=0.0)
