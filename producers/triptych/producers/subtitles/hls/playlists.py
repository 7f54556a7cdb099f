"""Read HLS playlists (RFC 8216) by the m3u8 library: the subtitle renditions of a channel, and the segments of one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from triptych.producers.sources.track_selection import TrackInfo, best_subtitles
from triptych.producers.subtitles.hls.fetch import ByteRange, Fetched, FetchError
from triptych.producers.subtitles.language import language_of
from triptych.units import NS_PER_S

if TYPE_CHECKING:
    from m3u8 import M3U8

_SIGNATURE: Final = "#EXTM3U"
_DEFAULT_TARGET_S: Final = 6.0
_MIN_TARGET_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Rendition:
    """Subtitles of a channel in one language. Its URL may hold a password."""

    url: str
    language: str | None


@dataclass(frozen=True, slots=True)
class SegmentInfo:
    """A segment of a rendition.

    Attributes:
        sequence: its media sequence number.
        url: where it is.
        part: the part of the file, where the playlist names one.
        start_ns: its start since the start of the playlist, by the stated durations.
        end_ns: its end.
        timeline: how many discontinuities precede it in the playlist.
        is_gap: whether the playlist says that it is missing.
        is_encrypted: whether it is encrypted.
    """

    sequence: int
    url: str
    part: ByteRange | None
    start_ns: int
    end_ns: int
    timeline: int
    is_gap: bool
    is_encrypted: bool


@dataclass(frozen=True, slots=True)
class SegmentList:
    """The playlist of a rendition.

    Attributes:
        segments: its segments, in order.
        target_ns: the maximum duration of a segment.
        is_complete: whether no segments will be added.
    """

    segments: tuple[SegmentInfo, ...]
    target_ns: int
    is_complete: bool


def best_rendition(master: Fetched, wanted_language: str) -> Rendition | None:
    """Return the subtitles of a channel in the wanted language, or the next best; None where it has none.

    Raises:
        FetchError: this is not a playlist.
    """
    media = [each for each in _parse(master).media if each.type == "SUBTITLES" and each.uri]
    tracks = [
        TrackInfo(
            index=index,
            default=each.default == "YES",
            forced=each.forced == "YES",
            language=language_of(each.language),
        )
        for index, each in enumerate(media)
    ]
    best = best_subtitles(tracks, wanted_language)
    return None if best is None else Rendition(media[best.index].absolute_uri, best.language)


def segment_list(playlist: Fetched) -> SegmentList:
    """Return the segments of a rendition.

    Raises:
        FetchError: this is not a playlist of segments.
    """
    parsed = _parse(playlist)
    if parsed.is_variant:
        raise FetchError("expected a playlist of segments, got one of playlists")
    target_ns = round(max(parsed.target_duration or _DEFAULT_TARGET_S, _MIN_TARGET_S) * NS_PER_S)
    segments: list[SegmentInfo] = []
    start_ns, timeline = 0, 0
    ends: dict[str, int] = {}
    for number, each in enumerate(parsed.segments):
        end_ns = start_ns + round((each.duration or 0) * NS_PER_S)
        timeline += bool(each.discontinuity)
        segments.append(
            SegmentInfo(
                sequence=(parsed.media_sequence or 0) + number,
                url=each.absolute_uri,
                part=_part(each.byterange, each.absolute_uri, ends),
                start_ns=start_ns,
                end_ns=end_ns,
                timeline=timeline,
                is_gap=bool(each.gap_tag),
                is_encrypted=each.key is not None and each.key.method not in {None, "NONE"},
            )
        )
        start_ns = end_ns
    return SegmentList(tuple(segments), target_ns, bool(parsed.is_endlist))


def _part(text: str | None, url: str, ends: dict[str, int]) -> ByteRange | None:
    """Return the byte range `LENGTH[@OFFSET]`. Without an offset it follows the previous range of the same file."""
    if not text:
        return None
    length, _, offset = text.partition("@")
    part = ByteRange(int(offset) if offset else ends.get(url, 0), int(length))
    ends[url] = part.offset + part.length
    return part


def _parse(playlist: Fetched) -> M3U8:
    import m3u8  # noqa: PLC0415 - only HLS needs it

    text = playlist.content.decode("utf-8", "replace").removeprefix("\ufeff")
    if not text.startswith(_SIGNATURE):
        raise FetchError(f"expected a playlist that begins with {_SIGNATURE}, got something else")
    try:
        return m3u8.loads(text, uri=playlist.url)
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise FetchError(f"expected a playlist, got one that cannot be read ({type(error).__name__})") from None
