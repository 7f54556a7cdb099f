"""Read the results topic in a thread of its own: what is kept from `since` on, and then what comes."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Final, Protocol

import structlog

from triptych.consumers.page.state.feed_state import ReadResult
from triptych.consumers.page.state.newest_window import newest_window
from triptych.consumers.page.state.seen_window import ResultPlace, seen_window
from triptych.consumers.rules.rule import Rule
from triptych.consumers.subscription.cursor import TOPIC_PLACE, Cursor, Start
from triptych.consumers.subscription.recent_ids import RecentIds
from triptych.consumers.subscription.result_source import (
    FeedEvent,
    Gap,
    MalformedEvent,
    ResultEvent,
    ResultFeed,
)
from triptych.consumers.subscription.topic_source import TopicSource
from triptych.schemas.errors import TriptychError
from triptych.schemas.names import results_topic
from triptych.transport.errors import TopicMissingError, TransportError
from triptych.transport.protocols import Transport

log = structlog.get_logger(__name__)

_POLL_S: Final = 0.25
_RETRY_S: Final = 2.0
_REMEMBERED_IDS: Final = 65_536
_BATCH: Final = 200
"""How many results the event loop takes at once: some milliseconds of its time."""


class ResultReceiver(Protocol):
    """Where the results go. Each method returns when the event loop has taken them."""

    def begin(self, epoch: str, begins: dict[int, int]) -> None:
        """Take where reading begins (see `PageState.begin`)."""

    def add_results(self, read: Sequence[ReadResult]) -> None:
        """Take the next results."""

    def count(self, name: str, number: int) -> None:
        """Count what was left out."""

    def caught_up(self) -> None:
        """Take notice that all older results were read."""


class ResultFollower:
    """Reads results until a stop, and hands them over. While the broker is unavailable, it waits."""

    def __init__(
        self, transport: Transport, pipeline: str, receiver: ResultReceiver, rules: Sequence[Rule] = ()
    ) -> None:
        """Read nothing yet. The caller closes `transport`."""
        self._transport = transport
        self._pipeline = pipeline
        self._receiver = receiver
        self._rules = tuple(rules)
        self._source = TopicSource(transport, pipeline=pipeline)
        self._ids = RecentIds(_REMEMBERED_IDS)
        self._positions: dict[str, str] = {}
        self._known_epoch: str | None = None
        self._restarts = 0

    def check(self) -> None:
        """Check that the results can be read. Blocks.

        Raises:
            TransportError: the broker does not answer, or there is no such topic.
        """
        self._epoch()

    def run(self, since: Start, stop: threading.Event) -> None:
        """Read from `since` on until a stop. Blocks."""
        while not stop.is_set():
            try:
                self._follow(since, stop)
            except TriptychError as error:
                log.warning("page_results_unavailable", reason=str(error), again_in_s=_RETRY_S)
                stop.wait(_RETRY_S)

    def _follow(self, since: Start, stop: threading.Event) -> None:
        epoch = self._epoch()
        if epoch != self._known_epoch:
            self._positions = {}
        start = Cursor("kafka", self._pipeline, self._positions) if self._positions else since
        with closing(self._source.open(start, stream=None, until_end=True)) as backlog:
            if epoch != self._known_epoch:
                begins = backlog.cursor({}).positions
                self._positions = dict(begins)
                self._receiver.begin(epoch, {int(partition): int(offset) for partition, offset in begins.items()})
                self._known_epoch = epoch
            self._read(backlog, stop, until=backlog.done)
        if stop.is_set():
            return
        self._receiver.caught_up()
        log.info("page_caught_up", pipeline=self._pipeline)
        start = Cursor("kafka", self._pipeline, self._positions)
        with closing(self._source.open(start, stream=None, until_end=False)) as live:
            self._read(live, stop, until=lambda: False)

    def _read(self, feed: ResultFeed, stop: threading.Event, *, until: Callable[[], bool]) -> None:
        while not stop.is_set() and not until():
            events = feed.poll(_POLL_S)
            for begin in range(0, len(events), _BATCH):
                self._hand_over(events[begin : begin + _BATCH])

    def _hand_over(self, events: Sequence[FeedEvent]) -> None:
        read: list[ReadResult] = []
        for event in events:
            self._check_order(event)
            self._positions[event.place] = event.position
            if isinstance(event, ResultEvent) and self._ids.add(event.result.id):
                read.append(self._read_result(event))
            elif isinstance(event, MalformedEvent):
                log.warning("result_malformed", place=event.place, position=event.position, reason=str(event.error))
                self._receiver.count("malformed", 1)
            elif isinstance(event, Gap):
                self._receiver.count("missed", event.missed or 0)
        if read:
            self._receiver.add_results(read)

    def _check_order(self, event: FeedEvent) -> None:
        """Start over where the log begins again: the topic was created again, and its offsets mean other results."""
        if not isinstance(event, Gap) or event.cause == "deleted":
            return
        if event.place == TOPIC_PLACE or int(event.position) < int(self._positions.get(event.place, "0")):
            self._known_epoch = None
            self._restarts += 1
            raise _TopicAgainError("the results topic begins again before the place that was read last")

    def _read_result(self, event: ResultEvent) -> ReadResult:
        place = ResultPlace(int(event.place), int(event.position) - 1)
        result = event.result
        rules = tuple((str(rule), rule.matches(result)) for rule in self._rules)
        return ReadResult(result, place, seen_window(result, place), newest_window(result), rules)

    def _epoch(self) -> str:
        """Return what tells this topic from one of the same name that was created before or after."""
        topic = results_topic(self._pipeline)
        with closing(self._transport.admin()) as admin:
            identity = admin.identify([topic]).get(topic)
        if identity is None:
            raise TopicMissingError(
                f"topic {topic}: expected results of pipeline {self._pipeline!r}, found no such topic; "
                f"`triptych topics create --pipeline {self._pipeline}` creates it"
            )
        return hashlib.sha256(f"{topic}\0{identity.id}\0{self._restarts or ''}".encode()).hexdigest()[:16]


class _TopicAgainError(TransportError):
    """The topic is another one than before."""
