"""How much later than its picture a live feed's sound comes. Pure.

The time stamps say what belongs together; this says how far apart it arrives: the delay of the sound less the delay of
the picture, each against its own time stamps, as players and WebRTC measure it. Of each track the least delay of the
last 20 to 40 s counts, so that bursts and a slow network are none.
"""

from __future__ import annotations

from typing import Final, Literal

_SPAN_NS: Final = 20_000_000_000
_SETTLED_NS: Final = 1_000_000_000
"""What was read while the feed was opened comes at once, however old; after so long there is newer."""

Track = Literal["video", "audio"]


class SkewMeter:
    """Compare the least delays of the two tracks."""

    def __init__(self) -> None:
        self._began_ns: int | None = None
        self._span_ends_ns = 0
        self._before: dict[str, int] = {}
        self._least: dict[str, int] = {}
        self._settled = False

    @property
    def offset_ns(self) -> int | None:
        """How far the sound lies behind the picture, below zero: ahead of it; None while one of them is unknown."""
        if not self._settled:
            return None
        audio_ns, video_ns = self._delay_ns("audio"), self._delay_ns("video")
        return None if audio_ns is None or video_ns is None else audio_ns - video_ns

    def observe(self, track: str, event_ns: int, wall_ns: int) -> None:
        """Note that what stands at `event_ns` in a track came at `wall_ns`."""
        if self._began_ns is None:
            self._began_ns, self._span_ends_ns = wall_ns, wall_ns + _SPAN_NS
        if wall_ns >= self._span_ends_ns:
            self._before, self._least, self._span_ends_ns = self._least, {}, wall_ns + _SPAN_NS
        self._settled = self._settled or wall_ns - self._began_ns >= _SETTLED_NS
        delay_ns = wall_ns - event_ns
        self._least[track] = min(self._least.get(track, delay_ns), delay_ns)

    def _delay_ns(self, track: Track) -> int | None:
        known = [least[track] for least in (self._before, self._least) if track in least]
        return min(known, default=None)
