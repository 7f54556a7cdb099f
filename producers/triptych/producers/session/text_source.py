"""Choose where the text of a source comes from, and which source follows where that one stays silent.

The text comes from one source at a time, the first of these that exists: the cue file that the user names; a rendition
of an HLS channel; a text track of the file; captions embedded in the video; a sidecar cue file; a transcript of the
audio where the user asks for one. Existence is no promise of words, so a source that yields none gives way to the next.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import structlog
from av.subtitles.stream import SubtitleStream

from triptych.producers.session.rendition_player import RenditionProgress
from triptych.producers.sources.media_file import MediaFile
from triptych.producers.sources.playback_plan import PlaybackPlan
from triptych.producers.sources.source import FileSource
from triptych.producers.subtitles.cue import Cue
from triptych.producers.subtitles.cue_file import CueFile, read_cue_file
from triptych.producers.subtitles.hls.rendition_reader import RenditionSearch
from triptych.producers.subtitles.language import DEFAULT_LANGUAGE
from triptych.producers.subtitles.sidecar import find_sidecars, language_in_name
from triptych.producers.subtitles.text_faults import TextFaults
from triptych.schemas.errors import UsageError
from triptych.units import NS_PER_S

_log = structlog.get_logger(__name__)
_MAX_SHOWN: Final = 80

SILENT_NS: Final = 60 * NS_PER_S
"""After this much media without a word, a text source that has never had any gives way."""

LIVE_SILENT_NS: Final = 300 * NS_PER_S
"""After this much media without a word, a text source of a live feed gives way although it had words before."""

TextSource = tuple[Cue, ...] | RenditionProgress | SubtitleStream | Literal["captions", "transcribed"]
"""The cues of a cue file, a rendition of an HLS channel, a text track of the media file, captions in its video,
or a transcript of its audio."""

TextKind = Literal["cue file", "rendition", "text track", "captions", "sidecar file", "transcript"]
"""The kinds of text sources."""


@dataclass(frozen=True, slots=True)
class TextCandidate:
    """A text source that may be used: its kind, and how to open it. Opening returns None where it holds no text."""

    kind: TextKind
    open: Callable[[], TextSource | None]


class TextSources:
    """The text sources of one source, of which one is used at a time.

    Attributes:
        current: the source that is used; None where there is none.
        kind: its kind.
        silent_ns: for how much media it has yielded nothing.
        has_spoken: whether it has ever yielded anything.
    """

    def __init__(self, candidates: tuple[TextCandidate, ...], *, stream: str) -> None:
        """Open the first candidate that holds text."""
        self._stream = stream
        self._candidates = deque(candidates)
        self.current: TextSource | None = None
        self.kind: TextKind | None = None
        self.silent_ns = 0
        self.has_spoken = False
        self._open_next()

    @property
    def has_next(self) -> bool:
        """Whether another source may follow."""
        return bool(self._candidates)

    def expects(self, kind: TextKind) -> bool:
        """Return whether a kind of source is used, or may be used later."""
        return self.kind == kind or any(candidate.kind == kind for candidate in self._candidates)

    def replace_current(self, current: TextSource | None) -> None:
        """Use the same source as before, which was opened anew."""
        self.current = current

    def heard(self) -> None:
        """Note that the current source has yielded text."""
        self.silent_ns, self.has_spoken = 0, True

    def is_silent(self, *, is_live: bool) -> bool:
        """Return whether the current source has been silent for too long. The cues of a file are known beforehand."""
        if isinstance(self.current, tuple) or not self.has_next:
            return False
        if not self.has_spoken:
            return self.silent_ns >= SILENT_NS
        return is_live and self.silent_ns >= LIVE_SILENT_NS

    def give_way(self, reason: str) -> bool:
        """Use the next source that holds text; return False where there is none. Log it."""
        silent, silent_ns, previous = self.kind, self.silent_ns, self.current
        if not self._open_next():
            return False
        if isinstance(previous, RenditionProgress):
            previous.reader.close()
        _log.warning(
            "subtitles_silent",
            stream=self._stream,
            silent=silent,
            silent_s=silent_ns // NS_PER_S,
            reason=reason,
            used_now=self.kind,
        )
        return True

    def close(self) -> None:
        """End the threads of the current source."""
        if isinstance(self.current, RenditionProgress):
            self.current.reader.close()

    def _open_next(self) -> bool:
        while self._candidates:
            candidate = self._candidates.popleft()
            opened = candidate.open()
            if opened is not None:
                self.current, self.kind = opened, candidate.kind
                self.silent_ns, self.has_spoken = 0, False
                return True
        return False


def find_text_sources(plan: PlaybackPlan, media: MediaFile, faults: TextFaults) -> TextSources:
    """Return the text sources of a file or feed. What of them cannot be read is added to `faults`.

    Raises:
        UsageError: the cue file that the user named holds no cues.
    """
    return TextSources(tuple(_candidates(plan, media, faults)), stream=plan.stream)


def _candidates(plan: PlaybackPlan, media: MediaFile, faults: TextFaults) -> list[TextCandidate]:
    path = plan.subtitles
    if path is not None:
        language = language_in_name(path) or plan.language
        return [TextCandidate("cue file", lambda: _counted(_cues_of(path, language, plan, media), faults))]
    found: list[TextCandidate] = []
    if media.is_hls:
        rendition = _rendition(plan)
        if rendition is not None:
            found.append(TextCandidate("rendition", lambda: rendition))
    track = media.text_track
    if track is not None and media.has_readable_text():
        found.append(TextCandidate("text track", lambda: track))
    else:
        for codec, reason in media.unread_subtitles():
            _log.warning("subtitles_skipped", stream=plan.stream, codec=codec, reason=reason)
    if media.has_captions():
        found.append(TextCandidate("captions", lambda: "captions"))
    if not found or _has_sidecar(plan):  # where there is no other text, near misses are worth a word
        found.append(TextCandidate("sidecar file", lambda: _sidecar_cues(plan, media, faults)))
    if plan.transcribe is not None and media.audio is not None:
        found.append(TextCandidate("transcript", lambda: "transcribed"))
    return found


def _rendition(plan: PlaybackPlan) -> RenditionProgress | None:
    search = RenditionSearch(plan.source.location, plan.language or DEFAULT_LANGUAGE)
    reader = search.find()
    if search.failure is not None:
        reason = f"the list of the channel's subtitles: {search.failure}"
        _log.warning("subtitles_skipped", stream=plan.stream, reason=reason)
    return None if reader is None else RenditionProgress(reader, plan.stream)


def _has_sidecar(plan: PlaybackPlan) -> bool:
    path = plan.source.path if isinstance(plan.source, FileSource) else None
    return path is not None and bool(find_sidecars(path, plan.language or DEFAULT_LANGUAGE).found)


def _sidecar_cues(plan: PlaybackPlan, media: MediaFile, faults: TextFaults) -> tuple[Cue, ...] | None:
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
