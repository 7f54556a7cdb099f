"""Play the feeds of a feeds file, and follow its changes. A feed that changes does not disturb the others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from threading import Event
from typing import Final

import structlog

from triptych.producers.clock import Clock, RunningClock, SystemClock
from triptych.producers.feeds.feeds_file import read_feeds
from triptych.producers.run import FLUSH_TIMEOUT_S, POLL_INTERVAL_S, NullProgress, ProgressDisplay, player_class_of
from triptych.producers.sending.dispatcher import RecordDispatcher
from triptych.producers.sending.limits import SendLimits
from triptych.producers.sending.record_tracer import RecordTracer
from triptych.producers.source_player import SourcePlayer
from triptych.producers.sources.playback_plan import PlaybackPlan
from triptych.schemas.errors import UsageError
from triptych.transport.protocols import Transport

_log = structlog.get_logger(__name__)
_CHECK_INTERVAL_NS: Final = 1_000_000_000


class _RunningFeed:
    """A feed that is played, with a stop event of its own."""

    def __init__(self, plan: PlaybackPlan, play: Callable[[PlaybackPlan, Event], SourcePlayer]) -> None:
        self.plan = plan
        self._stop = Event()
        self.player = play(plan, self._stop)
        self.player.thread.start()
        self._failure_logged = False

    @property
    def is_over(self) -> bool:
        """Whether the feed has ended."""
        return not self.player.thread.is_alive()

    def stop(self) -> None:
        """Tell the feed to end. Does not block."""
        self._stop.set()

    def log_failure(self) -> None:
        """Log once why the feed has failed, if it has."""
        error = self.player.outcome().error if self.is_over and not self._failure_logged else None
        if error is not None:
            self._failure_logged = True
            _log.warning("feed_failed", stream=self.plan.stream, reason=str(error))


class FeedSupervisor:
    """Keep the running feeds in line with the listed ones."""

    def __init__(self, play: Callable[[PlaybackPlan, Event], SourcePlayer]) -> None:
        self._play = play
        self._feeds: dict[str, _RunningFeed] = {}
        self._listed: Mapping[str, PlaybackPlan] = {}

    @property
    def players(self) -> tuple[SourcePlayer, ...]:
        """The players of all feeds that run or have ended by themselves."""
        return tuple(feed.player for feed in self._feeds.values())

    def set_plans(self, plans: Mapping[str, PlaybackPlan]) -> None:
        """Set the feeds to run from now on."""
        self._listed = plans

    def reconcile(self) -> None:
        """Stop the feeds that are no longer listed as they run, and start those that are missing.

        A feed that has ended by itself is not started again until its plan changes.
        """
        for stream, feed in list(self._feeds.items()):
            feed.log_failure()
            if self._listed.get(stream) != feed.plan:
                feed.stop()
                if feed.is_over:
                    _log.info("feed_ended", stream=stream)
                    del self._feeds[stream]
        for stream, plan in self._listed.items():
            if stream not in self._feeds:
                _log.info("feed_started", stream=stream, source=plan.source.uri)
                self._feeds[stream] = _RunningFeed(plan, self._play)

    def stop(self) -> None:
        """Stop all feeds. Block until they have ended."""
        for feed in self._feeds.values():
            feed.stop()
        for feed in self._feeds.values():
            feed.player.thread.join()


def produce_feeds(
    path: Path,
    transport: Transport,
    *,
    stop: Event,
    clock: Clock | None = None,
    display: AbstractContextManager[ProgressDisplay] | None = None,
    limits: SendLimits | None = None,
    tracer: RecordTracer | None = None,
) -> None:
    """Play the feeds of a file until `stop` is set, following the changes of the file.

    A change that cannot be used is logged, and the current feeds go on. With `tracer`, sampled records are traced.

    Raises:
        UsageError: the file cannot be used at the start.
        PublishTimeoutError: the broker did not acknowledge the messages in flight at the end.
    """
    running = RunningClock(clock or SystemClock())
    file = _FeedsFileWatcher(path)
    plans = file.plans()
    dispatcher = RecordDispatcher(transport.publisher(), running, limits, tracer=tracer)
    supervisor = FeedSupervisor(lambda plan, stop_feed: player_class_of(plan)(plan, dispatcher, running, stop_feed))
    supervisor.set_plans(plans)
    checked_ns = running.monotonic_ns()
    with display or nullcontext(NullProgress()) as shown:
        try:
            while not stop.is_set():
                if running.monotonic_ns() - checked_ns >= _CHECK_INTERVAL_NS:
                    checked_ns = running.monotonic_ns()
                    supervisor.set_plans(file.plans())
                supervisor.reconcile()
                shown.show([player.status for player in supervisor.players])
                stop.wait(POLL_INTERVAL_S)
        finally:
            supervisor.stop()
            try:
                dispatcher.close(FLUSH_TIMEOUT_S)
            finally:
                shown.show([player.status for player in supervisor.players])


class _FeedsFileWatcher:
    """Read the feeds file again when its content has changed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: bytes | None = None
        self._plans = read_feeds(path)

    def plans(self) -> Mapping[str, PlaybackPlan]:
        """Return the plans of the file; the previous ones where it cannot be used now."""
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
