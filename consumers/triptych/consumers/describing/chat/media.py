"""The media of a window for a model: fetched by the result's offsets, and pictures reduced in number and size."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from triptych.consumers.describing.chat.window_message import Picture, SentCue, WindowMedia
from triptych.consumers.evidence.evidence import EvidenceRequest, GatheredEvidence, gather_evidence
from triptych.consumers.evidence.files import joined_audio
from triptych.schemas.records import AudioChunk, SubtitleCue, VideoFrame
from triptych.transport.protocols import Transport

_MAX_PIXELS: Final = 64 << 20
_JPEG_QUALITY: Final = 85
_TURNED: Final = range(5, 9)
"""The orientations of EXIF that exchange width and height."""


@dataclass(frozen=True, slots=True)
class MediaLimits:
    """How much of a window a model is given.

    Attributes:
        pictures: the largest number of pictures, evenly spaced over those of the window.
        picture_edge: the longest edge of a picture in pixels; larger ones are scaled down.
        audio: whether to fetch the sound.
    """

    pictures: int = 4
    picture_edge: int = 768
    audio: bool = True


def window_media(transport: Transport, request: EvidenceRequest, limits: MediaLimits) -> WindowMedia:
    """Fetch the media behind a result, as far as it still exists. Blocks while the broker answers.

    Raises:
        BrokerUnavailableError: the broker does not answer.
    """
    gathered = gather_evidence(transport, request)
    media = [item.media for found in gathered for item in found.items]
    frames = [one for one in media if isinstance(one, VideoFrame)]
    chunks = [one for one in media if isinstance(one, AudioChunk)] if limits.audio else []
    chosen = _evenly_spaced(sorted(frames, key=lambda frame: frame.start_ns), limits.pictures)
    pictures = tuple(found for frame in chosen if (found := reduced_picture(frame, limits.picture_edge)) is not None)
    unreadable = len(chosen) - len(pictures)
    return WindowMedia(
        pictures,
        _cues(request, [one for one in media if isinstance(one, SubtitleCue)]),
        joined_audio(chunks, request.delivery.result) if chunks else None,
        (*_missing(gathered), *([f"video: {unreadable} pictures cannot be decoded"] if unreadable else [])),
    )


def reduced_picture(frame: VideoFrame, longest_edge: int) -> Picture | None:
    """Return a frame as a picture whose edges have at most `longest_edge` pixels; None if it cannot be decoded.

    A smaller frame is returned byte for byte. Before anything is decoded, the declared size is checked.
    """
    try:
        with Image.open(io.BytesIO(frame.data), formats=("JPEG", "PNG", "WEBP")) as image:
            width, height = image.size
            if image.getexif().get(ExifTags.Base.Orientation, 1) in _TURNED:
                width, height = height, width  # as the worker and every viewer show it
            if width * height > _MAX_PIXELS:
                return None
            if max(width, height) <= longest_edge:
                return Picture(frame.start_ns, frame.content_type, frame.data, width, height)
            image.draft("RGB", (longest_edge, longest_edge))  # decodes a JPEG at a fraction of its size
            reduced = ImageOps.exif_transpose(image).convert("RGB")
            reduced.thumbnail((longest_edge, longest_edge))
            out = io.BytesIO()
            reduced.save(out, "JPEG", quality=_JPEG_QUALITY)
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    return Picture(frame.start_ns, "image/jpeg", out.getvalue(), width, height)


def _evenly_spaced(frames: Sequence[VideoFrame], count: int) -> list[VideoFrame]:
    """Return `count` frames: the middle ones of as many equal parts."""
    if len(frames) <= count:
        return list(frames)
    return [frames[(2 * number + 1) * len(frames) // (2 * count)] for number in range(count)]


def _cues(request: EvidenceRequest, sent: Sequence[SubtitleCue]) -> tuple[SentCue, ...]:
    """Return the cues as sent, or the result's own words where the records are gone."""
    if sent:
        cues = [SentCue(cue.start_ns, cue.end_ns, cue.text, cue.generated) for cue in sent]
    else:
        words = request.delivery.result.observations.words
        cues = [SentCue(cue.start_ns, cue.end_ns, cue.text, cue.generated) for cue in words]
    return tuple(sorted(cues, key=lambda cue: cue.start_ns))


def _missing(gathered: Sequence[GatheredEvidence]) -> list[str]:
    return [f"{found.modality}: {found.missing}" for found in gathered if found.missing]
