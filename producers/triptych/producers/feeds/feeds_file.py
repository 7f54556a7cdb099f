"""The feeds file (`feeds.toml`): which sources are played as which streams, each with its own options."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from triptych.producers.plans import SourceOptions, plans_for
from triptych.producers.sources.playback_plan import PlaybackPlan
from triptych.schemas.errors import UsageError

_MAX_BYTES: Final = 1 << 20


class FeedSpec(BaseModel):
    """One feed of the file. Options that it leaves out have the defaults of the command line, except `realtime`."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    source: Annotated[str, Field(min_length=1)]
    fps: str | int | float = "4"
    height: Annotated[int, Field(ge=16, le=8_192)] = 360
    quality: Annotated[int, Field(ge=1, le=100)] = 85
    realtime: bool = True
    loop: Annotated[int, Field(ge=0)] = 1
    start_at: str | None = None
    subtitles: Path | None = None
    subtitle_encoding: str | None = None
    language: str | None = None
    transcribe: str | None = None


def read_feeds(path: Path) -> Mapping[str, PlaybackPlan]:
    """Return a plan for each stream of the file. No error message contains a secret of a URL.

    Raises:
        UsageError: the file cannot be read, or an entry is invalid.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES).decode()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise UsageError(f"{path}: cannot be read as a feeds file ({reason})") from None
    try:
        document = tomllib.loads(content)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path}: expected TOML ({error})") from None
    feeds = document.get("feeds")
    if set(document) != {"feeds"} or not isinstance(feeds, dict):
        raise UsageError(f"{path}: expected a table [feeds.ID] for each stream, and nothing else")
    return {stream: _plan(path, stream, table) for stream, table in feeds.items()}


def _plan(path: Path, stream: str, table: Any) -> PlaybackPlan:  # noqa: ANN401 - any TOML value
    try:
        feed = FeedSpec.model_validate(table)
    except ValidationError as error:
        reasons = "; ".join(
            f"{'.'.join(map(str, each['loc'])) or 'the feed'}: {each['msg']}"
            for each in error.errors(include_input=False)
        )
        raise UsageError(f"{path}: feed {stream!r}: {reasons}") from None
    options = SourceOptions(
        stream=stream,
        fps=str(feed.fps),
        height=feed.height,
        quality=feed.quality,
        realtime=feed.realtime,
        loops=feed.loop,
        start_at=feed.start_at,
        subtitles=feed.subtitles,
        subtitle_encoding=feed.subtitle_encoding,
        language=feed.language,
        transcribe=feed.transcribe,
    )
    try:
        return plans_for([feed.source], options)[0]
    except UsageError as error:
        raise UsageError(f"{path}: feed {stream!r}: {error}") from None
