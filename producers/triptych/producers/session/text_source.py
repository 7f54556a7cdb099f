"""Where a film's words come from: exactly one place.

The file that the user names, else a text track inside the film, else captions inside its pictures, else a cue file
beside it, else what a machine hears, if the user wants that.
"""

from __future__ import annotations

from typing import Literal

import structlog
from av.subtitles.stream import SubtitleStream

from triptych.producers.sources.media_file import MediaFile
from triptych.producers.sources.plan import PlaybackPlan
from triptych.producers.sources.source import FileSource
from triptych.producers.subtitles.cue import Cue
from triptych.producers.subtitles.cue_file import find_beside, language_in_name, read_cues
from triptych.producers.subtitles.language import DEFAULT_LANGUAGE
from triptych.schemas.errors import UsageError

_log = structlog.get_logger(__name__)

Words = tuple[Cue, ...] | SubtitleStream | Literal["captions", "heard"] | None
"""The cues of a file, a track of the film, captions inside its pictures, what a machine hears, or none at all."""


def choose_words(plan: PlaybackPlan, media: MediaFile) -> Words:
    """Return the one place; raise `UsageError` where the file that the user named has no cues."""
    words = _written_words(plan, media)
    can_hear = plan.transcribe is not None and media.audio is not None
    return "heard" if words is None and can_hear else words


def _written_words(
    plan: PlaybackPlan, media: MediaFile
) -> tuple[Cue, ...] | SubtitleStream | Literal["captions"] | None:
    if plan.subtitles is not None:
        return read_cues(plan.subtitles, language_in_name(plan.subtitles) or plan.language)
    if media.text_track is not None:
        return media.text_track
    for codec in media.bitmap_subtitles():
        _log.warning("subtitles.skipped", stream=plan.stream, codec=codec, reason="pictures of text hold no text")
    if media.has_captions():
        return "captions"
    path = plan.source.path if isinstance(plan.source, FileSource) else None
    beside = find_beside(path, plan.language or DEFAULT_LANGUAGE) if path is not None else None
    if beside is None:
        return None
    try:
        return read_cues(beside, language_in_name(beside))
    except UsageError as error:
        _log.warning("subtitles.skipped", stream=plan.stream, file=beside.name, reason=str(error))
        return None
