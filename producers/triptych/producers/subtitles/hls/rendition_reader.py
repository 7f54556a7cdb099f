"""Read the subtitle rendition of an HLS channel in a thread of its own, so that video and audio never wait for it.

On demand, the segments are fetched in order, ahead of playback. Live, the playlist is loaded again and again, as its
window slides. Whatever cannot be fetched is tried again, then skipped and counted.
"""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from threading import Condition
from typing import Final, TypeVar

from triptych.producers.subtitles.hls.fetch import Fetcher, FetchError
from triptych.producers.subtitles.hls.playlists import Rendition, SegmentInfo, SegmentList, best_rendition, segment_list
from triptych.producers.subtitles.hls.segment import RenditionCue, read_segment
from triptych.units import NS_PER_S

OPEN_TIMEOUT_S: Final = 8.0
"""How long opening a source waits for the list of its renditions."""

MAX_WAITING_CUES: Final = 20_000
"""How many cues may wait to be played: those of about ten hours of dialogue."""

T = TypeVar("T")

_MAX_REMEMBERED: Final = 2_000
_FIRST_LIVE_SEGMENTS: Final = 3
_LIVE_ALLOWANCE_NS: Final = 2 * NS_PER_S
"""How much later than the video, besides the duration of a segment, the text of a live channel may be published."""

_ATTEMPTS: Final = 3
_MAX_DELAY_S: Final = 30.0
_FAILURES_UNTIL_UNREADABLE: Final = 4
_CLOSE_TIMEOUT_S: Final = 0.5


class RenditionReader:
    """Read one rendition, once. The methods are for one other thread, which plays the video.

    Attributes:
        position_ns: how far the video was read, in container time; set by whoever plays it.
        skipped: how many segments were given up.
        live_known_ns: up to where the cues of a live channel are known, in container time.
        failure: why nothing can be read at present; None while it can.
    """

    def __init__(self, rendition: Rendition, fetcher: Fetcher) -> None:
        """Start to read."""
        self._rendition = rendition
        self._fetcher = fetcher
        self._cues: deque[RenditionCue] = deque()
        self._seen: OrderedDict[tuple[int, int, str], None] = OrderedDict()
        self._list: SegmentList | None = None
        self._last_sequence: int | None = None
        self._known_ns = 0
        self._is_over = False
        self._failures = 0
        self._closed = False
        self._changed = Condition()
        self.position_ns: int | None = None
        self.live_known_ns: int | None = None
        self.skipped = 0
        self.failure: str | None = None
        self._thread = threading.Thread(target=self._run, name="rendition", daemon=True)
        self._thread.start()

    @property
    def is_live(self) -> bool:
        """Whether segments are still added; False while that is unknown."""
        return self._list is not None and not self._list.is_complete

    @property
    def timeline_starts_ns(self) -> tuple[int, ...]:
        """Where in the playlist each of its timelines begins: at its start, and at each discontinuity."""
        starts: dict[int, int] = {}
        for segment in () if self._list is None else self._list.segments:
            starts.setdefault(segment.timeline, segment.start_ns)
        return tuple(starts.values()) or (0,)

    @property
    def known_ns(self) -> int | None:
        """Up to where, from the start of the playlist, the cues of an on-demand rendition were read; None for all."""
        with self._changed:
            return None if self._is_over or self.failure is not None else self._known_ns

    def take(self) -> Sequence[RenditionCue]:
        """Return the cues that were read since the last call. Does not block."""
        with self._changed:
            cues = tuple(self._cues)
            self._cues.clear()
            self._changed.notify_all()
            return cues

    def wait_until_known(self, playlist_ns: int, timeout_s: float) -> None:
        """Block until an on-demand rendition was read up to here, cannot be read, or the time is over."""
        with self._changed:
            self._changed.wait_for(
                lambda: (
                    self._is_over
                    or self.failure
                    or self.is_live
                    or self._known_ns >= playlist_ns
                    or len(self._cues) >= MAX_WAITING_CUES
                ),
                timeout_s,
            )

    def again(self) -> RenditionReader:
        """Return a reader that begins at the start, for another pass."""
        self.close()
        return RenditionReader(self._rendition, self._fetcher)

    def close(self) -> None:
        """End the thread. A request that is under way ends by itself."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join(_CLOSE_TIMEOUT_S)

    # --- the thread ---------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._closed:
            position_ns = self.position_ns
            listed = self._attempt(lambda: segment_list(self._fetcher.get(self._rendition.url)))
            if listed is None:
                self._wait(self._retry_delay_s())
                continue
            self._list = listed
            self._fetch_new(listed)
            if listed.is_complete:
                with self._changed:
                    self._is_over = True
                    self._changed.notify_all()
                return
            if position_ns is not None:
                self.live_known_ns = position_ns - listed.target_ns - _LIVE_ALLOWANCE_NS
            self._wait(max(1.0, listed.target_ns / NS_PER_S / 2))

    def _fetch_new(self, listed: SegmentList) -> None:
        """Fetch the segments that were not fetched yet."""
        for segment in self._new_segments(listed):
            self._wait_for_room()
            if self._closed:
                break
            if not segment.is_gap:
                self._fetch(segment)
            with self._changed:
                self._last_sequence, self._known_ns = segment.sequence, segment.end_ns
                self._changed.notify_all()

    def _new_segments(self, listed: SegmentList) -> Sequence[SegmentInfo]:
        segments, last = listed.segments, self._last_sequence
        if last is None:
            return segments if listed.is_complete else segments[-_FIRST_LIVE_SEGMENTS:]
        if segments and segments[-1].sequence < last:  # the channel has begun anew
            return segments[-_FIRST_LIVE_SEGMENTS:]
        new = [segment for segment in segments if segment.sequence > last]
        if new and new[0].sequence > last + 1:
            self.skipped += new[0].sequence - last - 1
        return new

    def _fetch(self, segment: SegmentInfo) -> None:
        for attempt in range(_ATTEMPTS):
            cues = self._attempt(lambda: self._read(segment))
            if cues is not None:
                self._add(cues)
                return
            if attempt < _ATTEMPTS - 1:
                self._wait(min(1.0, self._retry_delay_s()))
        self.skipped += 1

    def _read(self, segment: SegmentInfo) -> Sequence[RenditionCue]:
        if segment.is_encrypted:
            raise FetchError("expected segments in the clear, got encrypted ones")
        content = self._fetcher.get(segment.url, segment.part).content
        return read_segment(content, segment, self._rendition.language)

    def _add(self, cues: Sequence[RenditionCue]) -> None:
        """Queue the cues but those that an earlier segment had already: each segment repeats what it cuts."""
        with self._changed:
            for each in cues:
                key = (each.cue.start_ns, each.cue.end_ns, f"{each.segment.timeline} {each.cue.text}")
                if key not in self._seen:
                    self._cues.append(each)
                self._seen[key] = None
                self._seen.move_to_end(key)
            while len(self._seen) > _MAX_REMEMBERED:
                self._seen.popitem(last=False)
            self._changed.notify_all()

    def _attempt(self, act: Callable[[], T]) -> T | None:
        """Return what `act` returns; None where it failed. Several failures in a row make the rendition unreadable."""
        try:
            value = act()
        except FetchError as error:
            with self._changed:
                self._failures += 1
                if self._failures >= _FAILURES_UNTIL_UNREADABLE:
                    self.failure = str(error)
                self._changed.notify_all()
            return None
        with self._changed:
            self._failures, self.failure = 0, None
        return value

    def _retry_delay_s(self) -> float:
        return min(_MAX_DELAY_S, 0.25 * 2.0 ** min(self._failures, 10))

    def _wait_for_room(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._closed or len(self._cues) < MAX_WAITING_CUES)

    def _wait(self, duration_s: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._closed, duration_s)


class RenditionSearch:
    """Find the subtitle rendition of an HLS source, in a thread, and start to read it."""

    def __init__(self, location: str, wanted_language: str) -> None:
        """Take the URL or path of the channel's playlist."""
        self._location = location
        self._wanted_language = wanted_language
        self._found: Rendition | None = None
        self._fetcher = Fetcher(location)
        self.failure: str | None = None

    def find(self) -> RenditionReader | None:
        """Return a reader of the rendition in the wanted language, or the next best; None where there is none.

        Blocks for a few seconds at most. Where the list of renditions cannot be read, `failure` says why.
        """
        thread = threading.Thread(target=self._search, name="renditions", daemon=True)
        thread.start()
        thread.join(OPEN_TIMEOUT_S)
        if thread.is_alive():
            self.failure = f"its playlist did not come within {OPEN_TIMEOUT_S:.0f} s"
            return None
        return None if self._found is None else RenditionReader(self._found, self._fetcher)

    def _search(self) -> None:
        try:
            self._found = best_rendition(self._fetcher.get(self._location), self._wanted_language)
        except FetchError as error:
            self.failure = str(error)
