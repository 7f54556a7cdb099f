"""Play what a file of feeds lists, and follow it: a feed added, changed or removed there leaves the others alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from threading import Event
from typing import Final

import structlog

from triptych.producers.clock import Clock, SystemClock
from triptych.producers.feeds.feeds_file import read_feeds
from triptych.producers.run import FLUSH_TIMEOUT_S, POLL_INTERVAL_S, NullProgress, ProgressDisplay, player_class_of
from triptych.producers.source_player import SourcePlayer
from triptych.producers.sources.playback_plan import PlaybackPlan
from triptych.schemas.errors import UsageError
from triptych.transport.protocols import Transport

_log = structlog.get_logger(__name__)
_LOOK_EVERY_NS: Final = 1_000_000_000


class _RunningFeed:
    """One feed that is played, with an end of its own."""

    def __init__(self, plan: PlaybackPlan, play: Callable[[PlaybackPlan, Event], SourcePlayer]) -> None:
        self.plan = plan
        self._stop = Event()
        self.player = play(plan, self._stop)
        self.player.thread.start()
        self._failure_logged = False

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return not self.player.thread.is_alive()

    def end(self) -> None:
        """Ask it to end."""
        self._stop.set()

    def log_failure(self) -> None:
        """Log once why it ended before its time."""
        error = self.player.outcome().error if self.is_over and not self._failure_logged else None
        if error is not None:
            self._failure_logged = True
            _log.warning("feed_failed", stream=self.plan.stream, reason=str(error))


class FeedSupervisor:
    """The feeds that are played, brought in line with what is listed."""

    def __init__(self, play: Callable[[PlaybackPlan, Event], SourcePlayer]) -> None:
        self._play = play
        self._feeds: dict[str, _RunningFeed] = {}
        self._listed: Mapping[str, PlaybackPlan] = {}

    @property
    def players(self) -> tuple[SourcePlayer, ...]:
        """All that are played or have ended."""
        return tuple(feed.player for feed in self._feeds.values())

    def list(self, plans: Mapping[str, PlaybackPlan]) -> None:
        """Take what is to be played from now on."""
        self._listed = plans

    def tend(self) -> None:
        """End what is not listed so any more, start what is; a feed that ended by itself is left so."""
        for stream, feed in list(self._feeds.items()):
            feed.log_failure()
            if self._listed.get(stream) != feed.plan:
                feed.end()
                if feed.is_over:
                    _log.info("feed_ended", stream=stream)
                    del self._feeds[stream]
        for stream, plan in self._listed.items():
            if stream not in self._feeds:
                _log.info("feed_started", stream=stream, source=plan.source.uri)
                self._feeds[stream] = _RunningFeed(plan, self._play)

    def end(self) -> None:
        """End all, and wait for it."""
        for feed in self._feeds.values():
            feed.end()
        for feed in self._feeds.values():
            feed.player.thread.join()


def produce_feeds(
    path: Path,
    transport: Transport,
    *,
    stop: Event,
    clock: Clock | None = None,
    display: AbstractContextManager[ProgressDisplay] | None = None,
) -> None:
    """Play the feeds of a file until `stop` is set, following its changes.

    A change that cannot be used is logged, and what was played goes on.

    Raises:
        UsageError: the file cannot be used at the start.
        PublishTimeoutError: at the end the broker did not take what was still in flight.
    """
    clock = clock or SystemClock()
    file = _FeedsFileWatcher(path)
    plans = file.plans()
    publisher = transport.publisher()
    supervisor = FeedSupervisor(lambda plan, end: player_class_of(plan)(plan, publisher, clock, end))
    supervisor.list(plans)
    looked_ns = clock.monotonic_ns()
    with display or nullcontext(NullProgress()) as shown:
        try:
            while not stop.is_set():
                if clock.monotonic_ns() - looked_ns >= _LOOK_EVERY_NS:
                    looked_ns = clock.monotonic_ns()
                    supervisor.list(file.plans())
                supervisor.tend()
                shown.show([player.status for player in supervisor.players])
                stop.wait(POLL_INTERVAL_S)
        finally:
            supervisor.end()
            publisher.close(FLUSH_TIMEOUT_S)
        shown.show([player.status for player in supervisor.players])


class _FeedsFileWatcher:
    """The file, read again where its bytes have changed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: bytes | None = None
        self._plans = read_feeds(path)

    def plans(self) -> Mapping[str, PlaybackPlan]:
        """Return what is listed; what was before, where the file cannot be used now."""
        try:
            content = self._path.read_bytes()
        except OSError:
            content = b""
        if content != self._seen:
            self._seen = content
            try:
                self._plans = read_feeds(self._path)
            except UsageError as error:
                _log.warning("feeds_file_rejected", reason=str(error))
        return self._plans
