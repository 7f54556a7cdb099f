"""Make the bodies of the API of what is kept: tiles, windows of the time line, review events. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final
from urllib.parse import quote

from triptych.consumers.page.api_types import (
    Attention,
    DescriptionAnswerBody,
    DescriptionBody,
    FeedTile,
    ModalityShares,
    PictureLink,
    ReviewEvent,
    SeenBox,
    Sparklines,
    SpokenWords,
    TimelineWindow,
)
from triptych.consumers.page.state.feed_state import FeedState
from triptych.consumers.page.state.newest_window import PixelBox, attention_of
from triptych.consumers.page.state.review_list import ReviewEntry
from triptych.consumers.page.state.seen_window import SeenWindow
from triptych.schemas.perception.descriptions import Description
from triptych.schemas.results import Shares
from triptych.units import NS_PER_MS

SPARKLINE_WINDOWS: Final = 60
_SILENT: Final[tuple[float, Attention]] = (0.8, "silent")
_MOST_RANGE_RECORDS: Final = 2_000
"""The largest range of offsets in which a picture is searched by its time. Beyond it the last one is shown."""

Size = tuple[int, int] | None


def feed_path(feed: str) -> str:
    """Return the path of a feed. A tilde keeps the names `.` and `..` from being taken for folders."""
    return f"/api/feeds/~{quote(feed, safe='')}"


def to_ms(time_ns: int) -> int:
    """Return a time in milliseconds."""
    return time_ns // NS_PER_MS


def picture_link(feed: str, window: SeenWindow, size: Size) -> PictureLink | None:
    """Return where the picture of a window is that shows most; None if the window has none of its own."""
    where = window.pictures
    if where is None:
        return None
    url = f"{feed_path(feed)}/pictures/{where.partition}/{where.last}"
    at_ns = window.end_ns - 1
    if window.picture_ns is not None and where.last - where.first < _MOST_RANGE_RECORDS:
        url += f"?first={where.first}&at_ns={window.picture_ns}"
        at_ns = window.picture_ns
    width, height = size or (None, None)
    return PictureLink(url=url, at_ms=to_ms(at_ns), width=width, height=height)


def seen_boxes(boxes: Iterable[PixelBox], size: Size) -> tuple[SeenBox, ...]:
    """Return boxes relative to the picture; none until its size is known."""
    if size is None:
        return ()
    width, height = size
    return tuple(
        SeenBox(
            label=seen.label,
            score=seen.score,
            box=(
                _share(seen.box[0], width),
                _share(seen.box[1], height),
                _share(seen.box[2], width),
                _share(seen.box[3], height),
            ),
            track=seen.track,
            at_ms=to_ms(seen.time_ns),
        )
        for seen in boxes
    )


def spoken_words(window: SeenWindow) -> tuple[SpokenWords, ...]:
    """Return the cues of a window."""
    return tuple(
        SpokenWords(text=cue.text, language=window.language, at_ms=to_ms(cue.start_ns), generated=cue.generated)
        for cue in window.words
    )


def tile_of(feed: FeedState) -> FeedTile | None:
    """Return the tile of a feed; None if it has no window yet."""
    window, newest = feed.shown, feed.newest
    if window is None or newest is None:
        return None
    reasons = tuple(sorted((*newest.reasons, _SILENT), reverse=True)) if feed.is_silent else newest.reasons
    tail = feed.history.tail(SPARKLINE_WINDOWS)
    return FeedTile(
        feed=feed.name,
        window_id=window.window_id,
        start_ms=to_ms(window.start_ns),
        end_ms=to_ms(window.end_ns),
        published_ms=to_ms(window.published_ns),
        lag_s=newest.lag_s,
        modalities=newest.modalities,
        picture=picture_link(feed.name, window, feed.picture_size),
        boxes=seen_boxes(newest.boxes, feed.picture_size),
        counts=window.counts,
        words=spoken_words(window),
        sounds=newest.sounds,
        labels=newest.labels,
        sparklines=Sparklines(
            speech=tuple(one.speech for one in tail),
            loudness=tuple(one.loudness for one in tail),
            novelty=tuple(one.novelty for one in tail),
        ),
        matches=window.matches,
        quality=window.quality,
        attention=attention_of(reasons),
        attention_why=tuple(reason for _, reason in reasons),
    )


def timeline_window(feed: str, window: SeenWindow, size: Size) -> TimelineWindow:
    """Return a window, or several in a row as one, for the time line. `size` is that of the feed's pictures."""
    return TimelineWindow(
        window_id=window.window_id,
        windows=window.windows,
        start_ms=to_ms(window.from_ns),
        end_ms=to_ms(window.to_ns),
        picture=picture_link(feed, window, size),
        speech=window.speech,
        music=window.music,
        loudness=window.loudness,
        novelty=window.novelty,
        shares=modality_shares(window.shares),
        counts=window.counts,
        words=spoken_words(window),
        matches=window.matches,
        quality=window.quality,
        revision=window.revision,
    )


def modality_shares(shares: Shares | None) -> ModalityShares | None:
    """Return the shares of the modalities by the page's names."""
    if shares is None:
        return None
    return ModalityShares(video=shares.video, audio=shares.audio, text=shares.subtitles)


def review_event(entry: ReviewEntry, size: Size, description: Description | None) -> ReviewEvent:
    """Return an event for review."""
    is_match = entry.kind == "match"
    return ReviewEvent(
        id=entry.id,
        kind=entry.kind,
        feed=entry.feed,
        prompt=entry.name if is_match else None,
        rule=None if is_match else entry.name,
        first_ms=to_ms(entry.first_ns),
        last_ms=to_ms(entry.last_ns),
        windows=entry.windows,
        score=entry.score,
        window_id=entry.best.window_id,
        picture=picture_link(entry.feed, entry.best, size),
        words=spoken_words(entry.best),
        description=None if description is None else description_body(description),
        answer=entry.answer,
        can_answer=is_match,
        is_over=entry.is_over,
    )


def description_body(description: Description) -> DescriptionBody:
    """Return what a model wrote about a window."""
    return DescriptionBody(
        title=description.title,
        what_happens=description.what_happens,
        who=description.who,
        answers=tuple(
            DescriptionAnswerBody(question=answer.question, answer=answer.answer) for answer in description.answers
        ),
        confidence=description.confidence,
        model=description.model,
        language=description.language,
    )


def _share(pixels: int, whole: int) -> float:
    return round(min(max(pixels / whole, 0.0), 1.0), 5)
