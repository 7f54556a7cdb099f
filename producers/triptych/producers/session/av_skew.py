"""Measure how much later than the video a live feed's audio arrives. Pure.

Audio and video with the same timestamp belong together; this measures how far apart they arrive. The offset is the
delay of the audio minus the delay of the video, each against its own timestamps, as players and WebRTC measure it. For
each track the minimum delay of the last 20 to 40 s counts, so that bursts and network delay have no effect.
"""

from __future__ import annotations

from typing import Final, Literal

_SPAN_NS: Final = 20_000_000_000
_SETTLING_NS: Final = 1_000_000_000
"""How long the offset stays unknown: at first, packets that were buffered while the feed was opened arrive at once."""

Track = Literal["video", "audio"]


class SkewMeter:
    """Compare the minimum delays of video and audio."""

    def __init__(self) -> None:
        self._began_ns: int | None = None
        self._span_ends_ns = 0
        self._previous_min: dict[str, int] = {}
        self._current_min: dict[str, int] = {}
        self._settled = False

    @property
    def offset_ns(self) -> int | None:
        """How far the audio is behind the video, negative where it is ahead; None while either is unknown."""
        if not self._settled:
            return None
        audio_ns, video_ns = self._delay_ns("audio"), self._delay_ns("video")
        return None if audio_ns is None or video_ns is None else audio_ns - video_ns

    def observe(self, track: str, event_ns: int, wall_ns: int) -> None:
        """Take a packet of a track: its timestamp, and the wall clock at its arrival."""
        if self._began_ns is None:
            self._began_ns, self._span_ends_ns = wall_ns, wall_ns + _SPAN_NS
        if wall_ns >= self._span_ends_ns:
            self._previous_min, self._current_min, self._span_ends_ns = self._current_min, {}, wall_ns + _SPAN_NS
        self._settled = self._settled or wall_ns - self._began_ns >= _SETTLING_NS
        delay_ns = wall_ns - event_ns
        self._current_min[track] = min(self._current_min.get(track, delay_ns), delay_ns)

    def _delay_ns(self, track: Track) -> int | None:
        known = [delays[track] for delays in (self._previous_min, self._current_min) if track in delays]
        return min(known, default=None)
