"""All that the page knows, bounded. Belongs to the event loop; no I/O."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from triptych.consumers.page.api_types import FeedTile, HealthCounts, ReviewEvent
from triptych.consumers.page.state.bodies import review_event, tile_of
from triptych.consumers.page.state.broadcast import Broadcast, MaySee
from triptych.consumers.page.state.change_queue import ChangeKey, ChangeQueue
from triptych.consumers.page.state.feed_history import FeedHistory
from triptych.consumers.page.state.feed_state import FeedState, ReadResult
from triptych.consumers.page.state.page_cursor import LAST_STEP, PageCursor, Place
from triptych.consumers.page.state.review_list import ReviewEntry, ReviewLimits, ReviewList
from triptych.consumers.page.state.seen_window import ResultPlace
from triptych.schemas.perception.descriptions import Description
from triptych.schemas.perception.prompts import Feedback
from triptych.units import NS_PER_S

FEEDBACK_LOG: Final = "f"
_MOST_DESCRIPTIONS: Final = 5_000
_FEWEST_WINDOWS: Final = 60
_HOUR_NS: Final = 3_600 * NS_PER_S


@dataclass(frozen=True, slots=True)
class StateLimits:
    """What bounds the memory.

    Attributes:
        windows: how many windows are kept one by one, of all feeds together.
        feeds: how many feeds are kept; those without a result for longest are forgotten.
        max_age_ns: how far behind a feed's newest window its oldest one may be.
        silent_after_ns: after how long without a result a feed that has not ended is silent.
        reviews: when a match is an event, and how many are kept.
    """

    windows: int = 240_000
    feeds: int = 2_000
    max_age_ns: int = 24 * _HOUR_NS
    silent_after_ns: int = 60 * NS_PER_S
    reviews: ReviewLimits = field(default_factory=ReviewLimits)


class PageState:
    """The feeds, the events for review, the descriptions, and the clients that listen."""

    def __init__(self, limits: StateLimits | None = None) -> None:
        """Start without any feed."""
        self._limits = limits or StateLimits()
        self.feeds: OrderedDict[str, FeedState] = OrderedDict()
        self.reviews = ReviewList(self._limits.reviews)
        self._descriptions: OrderedDict[tuple[str, int, int], Description] = OrderedDict()
        self._broadcast = Broadcast()
        self._tile_json: dict[str, str] = {}
        self._review_places: dict[str, dict[str, Place]] = {}
        self.catching_up = True
        self.counts: Counter[str] = Counter()
        """`results`, `malformed`, `missed` and `feeds_forgotten` since the start."""

    # --- what is read -------------------------------------------------------------------------------------------------

    def begin(self, epoch: str, begins: Mapping[int, int]) -> None:
        """Start with these logs: the first offset that is read of each partition of the results.

        With another epoch than before, the places of the logs mean something else, and every client must load again.
        """
        if self._broadcast.begin(epoch, {f"r{partition}": offset for partition, offset in begins.items()}):
            self._review_places.clear()

    def add_results(self, read: Iterable[ReadResult]) -> None:
        """Take the next results."""
        for one in read:
            self.counts["results"] += 1
            feed = self._feed(one.result.stream)
            feed.add(one, limit=self._windows_per_feed())
            changed = self.reviews.add(one.result, one.window, one.rules)
            for step, entry in enumerate(changed):
                self._publish_review(entry, one.place.log, one.place.change(step))
            self._publish_tile(feed.name, one.place)

    def add_feedback(self, feedback: Feedback, offset: int) -> None:
        """Take what a person said of a match."""
        start_ns = _window_start_ns(feedback.result_id)
        changed = (
            [] if start_ns is None else self.reviews.answer(feedback.stream, feedback.prompt, start_ns, feedback.answer)
        )
        for step, entry in enumerate(changed):
            self._publish_review(entry, FEEDBACK_LOG, Place(offset, step))
        self._broadcast.note(FEEDBACK_LOG, Place(offset, LAST_STEP))

    def add_description(self, description: Description, partition: int, offset: int) -> None:
        """Take what a vision-language model wrote about a window."""
        window = (description.stream, description.start_ns, description.end_ns)
        self._descriptions[window] = description
        self._descriptions.move_to_end(window)
        if len(self._descriptions) > _MOST_DESCRIPTIONS:
            self._descriptions.popitem(last=False)
        log = f"d{partition}"
        described = [
            entry
            for entry in self.reviews.newest_first()
            if entry.feed == description.stream and entry.best.start_ns == description.start_ns
        ]
        for step, entry in enumerate(described):
            self._publish_review(entry, log, Place(offset, step))
        self._broadcast.note(log, Place(offset, LAST_STEP))

    def set_picture_size(self, name: str, size: tuple[int, int]) -> None:
        """Take the size of a feed's pictures, in pixels."""
        feed = self.feeds.get(name)
        if feed is not None and feed.picture_size != size:
            feed.picture_size = size
            self._publish_tile(name)

    def look_for_silence(self, now_ns: int) -> None:
        """Tell of feeds that have fallen silent. Call it every few seconds of the wall clock."""
        if self.catching_up:
            return
        for feed in self.feeds.values():
            ended = feed.newest is None or feed.newest.has_ended
            if not feed.is_silent and not ended and now_ns - feed.seen_ns > self._limits.silent_after_ns:
                feed.is_silent = True
                self._publish_tile(feed.name)

    # --- what is asked ------------------------------------------------------------------------------------------------

    def tiles_json(self, may_see: MaySee) -> list[str]:
        """Return the tiles of all feeds that somebody may see, as JSON."""
        tiles = (self.tile_json(name) for name in self.feeds if may_see(name))
        return [tile for tile in tiles if tile is not None]

    def tile_json(self, name: str) -> str | None:
        """Return the tile of one feed as JSON; made once for all clients, and again when it has changed."""
        known = self._tile_json.get(name)
        tile = None if known is not None else self.tile(name)
        if tile is not None:
            known = self._tile_json[name] = tile.model_dump_json()
        return known

    def tile(self, name: str) -> FeedTile | None:
        """Return the tile of one feed."""
        feed = self.feeds.get(name)
        return None if feed is None else tile_of(feed)

    def review(self, event_id: str) -> ReviewEvent | None:
        """Return one event for review."""
        entry = self.reviews.get(event_id)
        return None if entry is None else self.review_body(entry)

    def review_body(self, entry: ReviewEntry) -> ReviewEvent:
        """Return an event for review."""
        feed = self.feeds.get(entry.feed)
        description = self.description(entry.feed, entry.best.start_ns, entry.best.end_ns)
        return review_event(entry, None if feed is None else feed.picture_size, description)

    def description(self, feed: str, start_ns: int, end_ns: int) -> Description | None:
        """Return the newest description of a window."""
        return self._descriptions.get((feed, start_ns, end_ns))

    def health_counts(self, may_see: MaySee, *, wrong: int, notes: int) -> HealthCounts:
        """Return the counts that clients are told, given what the last look at the pipeline found."""
        visible = [feed for feed in self.feeds.values() if may_see(feed.name)]
        return HealthCounts(
            feeds=len(visible),
            wrong=wrong,
            notes=notes,
            dead=sum(feed.dead for feed in visible),
            open_reviews=sum(
                entry.answer is None and entry.kind == "match" and may_see(entry.feed)
                for entry in self.reviews.newest_first()
            ),
            catching_up=self.catching_up,
        )

    def cursor(self, places: Mapping[str, Place] | None = None) -> PageCursor:
        """Return the cursor of a client that has got this far; without places, of one that has seen everything."""
        return self._broadcast.cursor(places)

    @property
    def has_begun(self) -> bool:
        """Whether the logs are known. Before that nobody can listen."""
        return self._broadcast.has_begun

    def listen(self, cursor: PageCursor, may_see: MaySee) -> ChangeQueue:
        """Return the changes after a cursor, and let the client be told of later ones.

        Raises:
            CursorGoneError: what came after the cursor is not known any more.
        """
        return self._broadcast.listen(cursor, may_see, self._changes(may_see))

    def leave(self, queue: ChangeQueue) -> None:
        """Tell a client no more."""
        self._broadcast.leave(queue)

    @property
    def coalesced(self) -> int:
        """How many changes were replaced by a later one before a client took them."""
        return self._broadcast.coalesced

    @property
    def windows(self) -> int:
        """How many records of windows are kept."""
        return sum(len(feed.history) for feed in self.feeds.values())

    def _changes(self, may_see: MaySee) -> list[tuple[ChangeKey, str, Place]]:
        """Return the last change of each thing that somebody may see, in the order of their places."""
        found: list[tuple[Place, str, ChangeKey]] = [
            (feed.place.change(LAST_STEP), feed.place.log, ChangeKey("tile", feed.name))
            for feed in self.feeds.values()
            if feed.place is not None and may_see(feed.name)
        ]
        for event_id, places in self._review_places.items():
            entry = self.reviews.get(event_id)
            if entry is not None and may_see(entry.feed):
                found += [(place, log, ChangeKey("review", event_id)) for log, place in places.items()]
        return [(key, log, place) for place, log, key in sorted(found)]

    def _publish_review(self, entry: ReviewEntry, log: str, place: Place) -> None:
        self._review_places.setdefault(entry.id, {})[log] = place
        while len(self._review_places) > self._limits.reviews.kept:
            self._review_places.pop(next(iter(self._review_places)))
        self._broadcast.publish(ChangeKey("review", entry.id), entry.feed, log, place)

    def _publish_tile(self, name: str, place: ResultPlace | None = None) -> None:
        self._tile_json.pop(name, None)
        if place is None:
            self._broadcast.publish(ChangeKey("tile", name), name)
        else:
            self._broadcast.publish(ChangeKey("tile", name), name, place.log, place.change(LAST_STEP))

    def _feed(self, name: str) -> FeedState:
        feed = self.feeds.get(name)
        if feed is None:
            before = self._windows_per_feed()
            feed = self.feeds[name] = FeedState(name, FeedHistory(max_age_ns=self._limits.max_age_ns))
            if len(self.feeds) > self._limits.feeds:
                forgotten, _ = self.feeds.popitem(last=False)
                self._tile_json.pop(forgotten, None)
                for entry in self.reviews.forget_feed(forgotten):
                    self._broadcast.publish(ChangeKey("review", entry.id), forgotten)
                self.counts["feeds_forgotten"] += 1
            if self._windows_per_feed() < before:
                for other in self.feeds.values():  # one that has ended gets no window that would trim it
                    other.history.trim(self._windows_per_feed())
        self.feeds.move_to_end(name)
        return feed

    def _windows_per_feed(self) -> int:
        return max(_FEWEST_WINDOWS, self._limits.windows // max(1, len(self.feeds)))


def _window_start_ns(result_id: str) -> int | None:
    """Return the start of the window in a result's id; None if it is no such id."""
    _, _, rest = result_id.partition("/")
    start, _, _ = rest.partition("-")
    return int(start) if start.isascii() and start.isdigit() else None
