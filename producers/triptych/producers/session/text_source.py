"""Choose where the text of a source comes from.

A source has exactly one text source: the cue file that the user names, else a text track of the file, else captions
embedded in the video, else a sidecar cue file, else a transcript of the audio where the user asks for one.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final, Literal

import structlog
from av.subtitles.stream import SubtitleStream

from triptych.producers.sources.media_file import MediaFile
from triptych.producers.sources.playback_plan import PlaybackPlan
from triptych.producers.sources.source import FileSource
from triptych.producers.subtitles.cue import Cue
from triptych.producers.subtitles.cue_file import CueFile, read_cue_file
from triptych.producers.subtitles.language import DEFAULT_LANGUAGE
from triptych.producers.subtitles.sidecar import find_sidecars, language_in_name
from triptych.producers.subtitles.text_faults import TextFaults
from triptych.schemas.errors import UsageError

_log = structlog.get_logger(__name__)
_MAX_SHOWN: Final = 80

AuthoredText = tuple[Cue, ...] | SubtitleStream | Literal["captions"]
"""The cues of a cue file, a text track of the media file, or captions embedded in its video."""

TextSource = AuthoredText | Literal["transcribed"] | None
"""Authored text, a transcript of the audio, or no text at all."""


def choose_text_source(plan: PlaybackPlan, media: MediaFile, faults: TextFaults) -> TextSource:
    """Return the text source of a file. What of it could not be read is added to `faults`.

    Raises:
        UsageError: the cue file that the user named holds no cues.
    """
    authored = _authored_text(plan, media, faults)
    can_transcribe = plan.transcribe is not None and media.audio is not None
    return "transcribed" if authored is None and can_transcribe else authored


def _authored_text(plan: PlaybackPlan, media: MediaFile, faults: TextFaults) -> AuthoredText | None:
    if plan.subtitles is not None:
        language = language_in_name(plan.subtitles) or plan.language
        return _counted(_cues_of(plan.subtitles, language, plan, media), faults)
    if media.has_readable_text():
        return media.text_track
    for codec, reason in media.unread_subtitles():
        _log.warning("subtitles_skipped", stream=plan.stream, codec=codec, reason=reason)
    if media.has_captions():
        return "captions"
    file = _sidecar_file(plan, media)
    return None if file is None else _counted(file, faults)


def _counted(file: CueFile, faults: TextFaults) -> tuple[Cue, ...]:
    faults.skipped += len(file.skipped)
    faults.undecodable += file.decoded.undecodable
    return file.cues


def _sidecar_file(plan: PlaybackPlan, media: MediaFile) -> CueFile | None:
    """Return the best sidecar that has cues."""
    if not isinstance(plan.source, FileSource):
        return None
    sidecars = find_sidecars(plan.source.path, plan.language or DEFAULT_LANGUAGE)
    for sidecar in sidecars.found:
        try:
            return _cues_of(sidecar.path, sidecar.language, plan, media, flags=sidecar.flags)
        except UsageError as error:
            _log.warning("subtitles_skipped", stream=plan.stream, file=sidecar.path.name, reason=str(error))
    for path, reason in sidecars.near_misses:
        _log.warning("subtitles_near_miss", stream=plan.stream, file=path.name, reason=reason)
    return None


def _cues_of(
    path: Path, language: str | None, plan: PlaybackPlan, media: MediaFile, *, flags: Iterable[str] = ()
) -> CueFile:
    """Read a file, and log how it was read and what was not."""
    rate = None if media.video is None else media.video.average_rate
    hint = language or plan.language
    file = read_cue_file(path, language, encoding=plan.subtitle_encoding, language_hint=hint, frame_rate=rate)
    name, stream, decoded = path.name, plan.stream, file.decoded
    _log.info(
        "subtitles_read",
        stream=stream,
        file=name,
        cues=len(file.cues),
        repeats=file.repeats,
        language=language,
        flags=sorted(flags),
    )
    if decoded.assumed_from is not None or decoded.undecodable:
        _log.warning(
            "subtitles_encoding_assumed",
            stream=stream,
            file=name,
            encoding=decoded.encoding,
            assumed_from=decoded.assumed_from or "the user",
            undecodable=decoded.undecodable,
        )
    if file.skipped:
        first = file.skipped[0]
        _log.warning(
            "subtitle_blocks_skipped",
            stream=stream,
            file=name,
            blocks=len(file.skipped),
            first_line=first.line,
            text=first.text[:_MAX_SHOWN],
            reason=first.reason,
        )
    return file
