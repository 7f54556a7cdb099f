"""HLS channels on demand, made for the tests: a folder with playlists, a transport stream and segments of subtitles."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

MASTER = """#EXTM3U
#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="subs",NAME="English",DEFAULT=YES,LANGUAGE="en",URI="t.m3u8"
#EXT-X-STREAM-INF:BANDWIDTH=420757,RESOLUTION=64x48,SUBTITLES="subs"
v.m3u8
"""
CLOCK = "X-TIMESTAMP-MAP=MPEGTS:{ticks},LOCAL:00:00:00.000"
BEGINS_MS = 1_400
SEGMENT_S = 3
LENGTH_S = 6
MakeMedia = Callable[..., Path]


def webvtt(*cues: tuple[float, str], header: str | None = CLOCK.format(ticks=90 * BEGINS_MS)) -> str:
    """Return a segment with cues of half a second: their starts in seconds, and their texts."""
    blocks = [f"{_time(start_s)} --> {_time(start_s + 0.5)}\n{text}\n" for start_s, text in cues]
    return "\n".join(["WEBVTT" if header is None else f"WEBVTT\n{header}", "", *blocks])


def playlist(*entries: str, length_s: int = SEGMENT_S) -> str:
    """Return a playlist on demand. Each entry is the name of a segment, with tags before it."""
    lines = "".join(f"#EXTINF:{length_s}.0,\n{entry}\n" for entry in entries)
    lines = lines.replace(
        f"#EXTINF:{length_s}.0,\n#EXT-X-DISCONTINUITY\n", f"#EXT-X-DISCONTINUITY\n#EXTINF:{length_s}.0,\n"
    )
    return f"#EXTM3U\n#EXT-X-VERSION:4\n#EXT-X-TARGETDURATION:{length_s}\n{lines}#EXT-X-ENDLIST\n"


def write_channel(
    make_media: MakeMedia,
    segments: Sequence[str | bytes | None],
    *,
    begins_ms: int = BEGINS_MS,
    words: str | None = None,
) -> Path:
    """Write a channel of six seconds of video; return its master playlist. A segment that is None is missing.

    Args:
        make_media: writes the video.
        segments: the segments of the subtitles, of three seconds each.
        begins_ms: the first time stamp of the transport stream.
        words: the playlist of the subtitles; None for a list of the segments.
    """
    frames = tuple(range(begins_ms, begins_ms + LENGTH_S * 1_000, 40))
    folder = make_media("s0.ts", frame_ms=frames).parent
    for number, segment in enumerate(segments):
        if segment is not None:
            (folder / f"t{number}.vtt").write_bytes(segment if isinstance(segment, bytes) else segment.encode())
    (folder / "v.m3u8").write_text(playlist("s0.ts", length_s=LENGTH_S))
    (folder / "t.m3u8").write_text(words or playlist(*(f"t{number}.vtt" for number in range(len(segments)))))
    master = folder / "film.m3u8"
    master.write_text(MASTER)
    return master


def _time(seconds: float) -> str:
    milliseconds = round(seconds * 1_000)
    return f"{milliseconds // 3_600_000:02}:{milliseconds // 60_000 % 60:02}:{milliseconds % 60_000 / 1_000:06.3f}"
