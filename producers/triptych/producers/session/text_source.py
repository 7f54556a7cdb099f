"""Choose where the text of a source comes from.

A source has exactly one text source: the cue file that the user names, else a text track of the file, else captions
embedded in the video, else a sidecar cue file, else a transcript of the audio where the user asks for one.
"""

from __future__ import annotations

from typing import Literal

import structlog
from av.subtitles.stream import SubtitleStream

from triptych.producers.sources.media_file import MediaFile
from triptych.producers.sources.playback_plan import PlaybackPlan
from triptych.producers.sources.source import FileSource
from triptych.producers.subtitles.cue import Cue
from triptych.producers.subtitles.cue_file import find_sidecar, language_in_name, read_cues
from triptych.producers.subtitles.language import DEFAULT_LANGUAGE
from triptych.schemas.errors import UsageError

_log = structlog.get_logger(__name__)

AuthoredText = tuple[Cue, ...] | SubtitleStream | Literal["captions"]
"""The cues of a cue file, a text track of the media file, or captions embedded in its video."""

TextSource = AuthoredText | Literal["transcribed"] | None
"""Authored text, a transcript of the audio, or no text at all."""


def choose_text_source(plan: PlaybackPlan, media: MediaFile) -> TextSource:
    """Return the text source of a file.

    Raises:
        UsageError: the cue file that the user named holds no cues.
    """
    authored = _authored_text(plan, media)
    can_transcribe = plan.transcribe is not None and media.audio is not None
    return "transcribed" if authored is None and can_transcribe else authored


def _authored_text(plan: PlaybackPlan, media: MediaFile) -> AuthoredText | None:
    if plan.subtitles is not None:
        return read_cues(plan.subtitles, language_in_name(plan.subtitles) or plan.language)
    if media.text_track is not None:
        return media.text_track
    for codec in media.bitmap_subtitles():
        _log.warning("subtitles_skipped", stream=plan.stream, codec=codec, reason="bitmap subtitles hold no text")
    if media.has_captions():
        return "captions"
    return _sidecar_cues(plan)


def _sidecar_cues(plan: PlaybackPlan) -> tuple[Cue, ...] | None:
    path = plan.source.path if isinstance(plan.source, FileSource) else None
    sidecar = find_sidecar(path, plan.language or DEFAULT_LANGUAGE) if path is not None else None
    if sidecar is None:
        return None
    try:
        return read_cues(sidecar, language_in_name(sidecar))
    except UsageError as error:
        _log.warning("subtitles_skipped", stream=plan.stream, file=sidecar.name, reason=str(error))
        return None
