"""What the page knows of one feed: its history, its newest window, and sums over all of its results. No clock."""

from __future__ import annotations

from dataclasses import dataclass, field

from triptych.consumers.page.state.feed_history import FeedHistory
from triptych.consumers.page.state.newest_window import NewestWindow
from triptych.consumers.page.state.seen_window import ResultPlace, SeenWindow
from triptych.schemas.results import Result


@dataclass(frozen=True, slots=True)
class ReadResult:
    """A result as the reading thread hands it over: decoded, judged by the rules, and made compact."""

    result: Result
    place: ResultPlace
    window: SeenWindow
    newest: NewestWindow
    rules: tuple[tuple[str, bool], ...] = ()


@dataclass(slots=True)
class FeedState:
    """One feed.

    Attributes:
        name: its id.
        history: its windows.
        shown: the window that was published last, or its newest revision. As a rule it is the newest one; a feed that
            was started again at an earlier time shows what comes now.
        newest: what else the wall shows of it.
        place: where the result is that changed its tile last.
        picture_partitions: the partitions that hold its pictures: one, unless the topic has grown.
        picture_size: width and height of its pictures in pixels, as far as one was looked at.
        late: how many records came after their window and revised it.
        shed: how many items overload left out.
        dead: how many dead letters its results name.
        seen_ns: the wall clock at which its last result was published.
        is_silent: whether no result came for longer than expected, although the feed has not ended.
    """

    name: str
    history: FeedHistory
    shown: SeenWindow | None = None
    newest: NewestWindow | None = None
    place: ResultPlace | None = None
    picture_partitions: set[int] = field(default_factory=set)
    picture_size: tuple[int, int] | None = None
    late: int = 0
    shed: int = 0
    dead: int = 0
    seen_ns: int = 0
    is_silent: bool = False

    def add(self, read: ReadResult, *, limit: int) -> None:
        """Take the next result; keep at most about `limit` windows one by one."""
        result = read.result
        self.history.add(read.window, limit=limit)
        if not result.revision or (self.shown is not None and self._revises(self.shown, read.window)):
            self.shown, self.newest = read.window, read.newest
        self.place = read.place
        if read.window.pictures is not None:
            self.picture_partitions.add(read.window.pictures.partition)
        self.seen_ns = max(self.seen_ns, result.published_ns)
        self.is_silent = False
        self.dead += result.dead
        shed = result.shed
        self.shed += shed.video + shed.audio + shed.subtitles + shed.detections + shed.model
        if result.revised is not None:
            self.late += sum(count for _, count in result.revised.added)

    @staticmethod
    def _revises(shown: SeenWindow, window: SeenWindow) -> bool:
        return shown.window_id == window.window_id and window.revision >= shown.revision
