"""Turn what a user asks for into one plan for each source. Every mistake is a `UsageError`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Final

from triptych.producers.sources.playback_plan import PlaybackPlan
from triptych.producers.sources.source import FileSource, parse_source
from triptych.producers.sources.stream_id import stream_ids
from triptych.producers.speech.recogniser import check_transcription
from triptych.producers.subtitles.encoding import checked_encoding
from triptych.producers.subtitles.language import language_of
from triptych.producers.user_times import parse_time
from triptych.schemas.errors import UsageError
from triptych.schemas.names import checked_stream

_SLOWEST: Final = Fraction(1, 3600)
_FASTEST: Final = Fraction(240)


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceOptions:
    """The options of the command line or of a feeds file, as written. They apply to all sources. See `PlaybackPlan`."""

    stream: str | None = None
    fps: str = "4"
    height: int = 360
    quality: int = 85
    realtime: bool = False
    loops: int = 1
    start_at: str | None = None
    subtitles: Path | None = None
    subtitle_encoding: str | None = None
    language: str | None = None
    transcribe: str | None = None


def plans_for(sources: Sequence[str], options: SourceOptions) -> tuple[PlaybackPlan, ...]:
    """Return a plan for each source, in order.

    Raises:
        UsageError: a source or an option is invalid, or they do not go together.
    """
    if len(sources) > 1 and options.stream is not None:
        raise UsageError(f"--stream: expected one source, got {len(sources)}; leave it out, or play one source")
    if len(sources) > 1 and options.subtitles is not None:
        raise UsageError(f"--subtitles: expected one source, got {len(sources)}; play one source")
    if options.transcribe is not None:
        check_transcription(options.transcribe, _language(options.language))
    parsed = [parse_source(source) for source in sources]
    for source in parsed:
        if isinstance(source, FileSource) and source.is_read_once and options.loops != 1:
            raise UsageError(
                f"{source.label}: --loop: a pipe can be read once, got {options.loops}; save it as a file first"
            )
    streams = (
        stream_ids(source.name for source in parsed) if options.stream is None else (checked_stream(options.stream),)
    )
    return tuple(
        PlaybackPlan(
            source=source,
            stream=stream,
            fps=_rate(options.fps),
            height=options.height,
            quality=options.quality,
            realtime=options.realtime,
            loops=options.loops,
            start_at_ns=None if options.start_at is None else parse_time(options.start_at),
            subtitles=options.subtitles,
            subtitle_encoding=None
            if options.subtitle_encoding is None
            else checked_encoding(options.subtitle_encoding),
            language=_language(options.language),
            transcribe=options.transcribe,
        )
        for source, stream in zip(parsed, streams, strict=True)
    )


def _rate(text: str) -> Fraction:
    try:
        rate = Fraction(text)
    except (ValueError, ZeroDivisionError):
        rate = Fraction(0)
    if not _SLOWEST <= rate <= _FASTEST:
        raise UsageError(f"--fps: expected a number from {_SLOWEST} to {_FASTEST}, got {text!r}")
    return rate


def _language(text: str | None) -> str | None:
    if text is not None and language_of(text) is None:
        raise UsageError(f"--language: expected a language tag such as eng or en, got {text!r}")
    return text
