"""Read one WebVTT segment of a rendition, and place its cues on the clock of the video (RFC 8216, section 3.5)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from triptych.producers.subtitles.cue import Cue
from triptych.producers.subtitles.hls.fetch import FetchError
from triptych.producers.subtitles.hls.playlists import SegmentInfo
from triptych.producers.subtitles.timed_blocks import parse_timed_text
from triptych.units import NS_PER_MS, NS_PER_S

MPEG_HZ: Final = 90_000
MPEG_WRAP_NS: Final = round((1 << 33) * NS_PER_S / MPEG_HZ)
"""After this time, 26.5 hours, the time stamps of a transport stream begin again at zero."""

_MAP: Final = re.compile(r"\s*X-TIMESTAMP-MAP\s*=\s*(.+)")
_MPEGTS: Final = re.compile(r"MPEGTS:(\d+)")
_LOCAL: Final = re.compile(r"LOCAL:(?:(\d+):)?(\d+):(\d+)(?:[.,](\d{1,3}))?")
_SIGNATURE: Final = "WEBVTT"


@dataclass(frozen=True, slots=True)
class RenditionCue:
    """A cue of a rendition.

    Attributes:
        cue: its times as in the segment, or by the clock of the transport stream.
        has_clock: whether its times are by the clock of the transport stream.
        segment: where it came from.
    """

    cue: Cue
    has_clock: bool
    segment: SegmentInfo


def read_segment(content: bytes, segment: SegmentInfo, language: str | None) -> tuple[RenditionCue, ...]:
    """Return the cues of a segment.

    Raises:
        FetchError: this is not WebVTT.
    """
    text = content.decode("utf-8", "replace").removeprefix("\ufeff")
    if not text.startswith(_SIGNATURE):
        what = "WebVTT or TTML in fragmented MP4" if content[4:8] in {b"ftyp", b"styp", b"moof", b"moov"} else "other"
        raise FetchError(f"expected WebVTT text, got {what} data")
    parsed = parse_timed_text(text)
    offset_ns = _clock_offset_ns(parsed.header)
    return tuple(
        RenditionCue(
            replace(
                cue,
                start_ns=cue.start_ns + (offset_ns or 0),
                end_ns=cue.end_ns + (offset_ns or 0),
                language=language,
            ),
            offset_ns is not None,
            segment,
        )
        for cue in parsed.cues
    )


def _clock_offset_ns(header: Sequence[str]) -> int | None:
    """Return what to add to the times of the cues; None where the segment has no `X-TIMESTAMP-MAP`."""
    found = next((match for line in header if (match := _MAP.match(line))), None)
    ticks = None if found is None else _MPEGTS.search(found[1])
    if found is None or ticks is None:
        return None
    local = _LOCAL.search(found[1])
    return int(ticks[1]) * NS_PER_S // MPEG_HZ - (0 if local is None else _local_ns(local))


def _local_ns(local: re.Match[str]) -> int:
    hours, minutes, seconds, fraction = local.groups()
    whole_s = (int(hours or 0) * 60 + int(minutes)) * 60 + int(seconds)
    return whole_s * NS_PER_S + int((fraction or "0").ljust(3, "0")) * NS_PER_MS
