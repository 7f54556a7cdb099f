"""The hook that says in the log what a person should know of what happens."""

from __future__ import annotations

from collections import OrderedDict
from datetime import UTC, datetime
from threading import Lock
from typing import TYPE_CHECKING, Final

import structlog

from triptych.units import NS_PER_S
from triptych.worker.observability import events
from triptych.worker.observability.events import Event

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

    from triptych.worker.observability.hooks import Hook

_REMEMBERED: Final = 1_024
"""Sessions of which it is known that their line was said. Past that the oldest is forgotten, and may be said again."""

_LATE_HINT: Final = (
    "event time lies before the stream's watermark: the windows up to `floor` are published and stay as they are. "
    "To judge this again, send it as a new stream id or run a new pipeline; to go on, give --start-at after `floor`; "
    "to have recent windows issued again, align.late = revise"
)
_REVISING_HINT: Final = (
    "their windows are issued again, as another revision; what lies further back than align.allowed_lateness_ms is not"
)
_REDRIVEN_HINT: Final = (
    "put back from the dead letters: counted as late, and windows stay as they are. To judge them again with what can "
    "be used now, run a new pipeline over the same records: it meets them where they lay at first"
)
_LEFT_HINT: Final = "two live sessions on one stream: stop one of the producers, or give it a stream id of its own"
_REFUSED_HINT: Final = "what is in service goes on; a restart would find this one: put a good one in its place"
_GIVEN_UP_HINT: Final = "the model is not touched by this; another shadow is tried when its file changes, or at SIGHUP"
_GONE_HINT: Final = "retention deleted what was not read yet: these records are lost; keep them longer, or add workers"


def log_hook(logger: FilteringBoundLogger | None = None) -> Hook:
    """Return a new hook that logs; it remembers what it has said."""
    return _LogHook(logger or structlog.get_logger("triptych.worker"))


class _LogHook:
    """Logs what a person should know. What happens many times a second is the metrics' affair."""

    def __init__(self, logger: FilteringBoundLogger) -> None:
        self._log = logger
        self._late = _Remembered()
        self._revising = _Remembered()
        self._left = _Remembered()
        self._redriven = _Remembered()

    def __call__(self, event: Event) -> None:
        """Log one event, or nothing."""
        self._windows(event)
        self._data(event)
        self._trouble(event)
        self._lifecycle(event)
        self._models(event)

    def _windows(self, event: Event) -> None:
        """Log what became of windows."""
        match event:
            case events.WindowClosed():
                self._log.debug(
                    "window_closed",
                    stream=event.stream,
                    start=moment(event.start_ns),
                    end=moment(event.end_ns),
                    closed_by=event.closed_by,
                    skipped=event.skipped,
                    dead=event.dead,
                )
            case events.WindowRevised():
                self._log.debug(
                    "window_revised",
                    stream=event.stream,
                    start=moment(event.start_ns),
                    end=moment(event.end_ns),
                    revision=event.revision,
                    added=event.added,
                )
            case events.ResultsPublished():
                self._log.debug("results_published", results=event.results, new=event.new)
            case _:
                pass

    def _data(self, event: Event) -> None:
        """Log what became of records."""
        match event:
            case events.ItemLate(revises=True):
                if self._revising.is_new(event.stream, event.session):
                    self._log.info(
                        "late_items_revise",
                        stream=event.stream,
                        modality=event.modality,
                        session=event.session,
                        first_start=moment(event.start_ns),
                        floor=moment(event.next_window_start_ns),
                        redriven=event.redriven,
                        hint=_REVISING_HINT,
                    )
            case events.ItemLate(redriven=True):
                if self._redriven.is_new(event.stream, event.session):
                    self._log.info(
                        "redriven_items_late",
                        stream=event.stream,
                        modality=event.modality,
                        session=event.session,
                        first_start=moment(event.start_ns),
                        hint=_REDRIVEN_HINT,
                    )
            case events.ItemLate() if self._late.is_new(event.stream, event.session):
                self._log.warning(
                    "items_late",
                    stream=event.stream,
                    modality=event.modality,
                    session=event.session,
                    first_start=moment(event.start_ns),
                    floor=moment(event.next_window_start_ns),
                    hint=_LATE_HINT,
                )
            case events.RecordDropped(reason="left_session") if self._left.is_new(event.stream, event.session):
                self._log.warning(
                    "records_of_left_session_dropped",
                    stream=event.stream,
                    modality=event.modality,
                    session=event.session,
                    hint=_LEFT_HINT,
                )
            case events.RecordDeadLettered():
                self._log.warning(
                    "record_dead_lettered",
                    topic=event.topic,
                    partition=event.partition,
                    offset=event.offset,
                    code=event.code,
                    reason=event.reason,
                )
            case _:
                pass

    def _trouble(self, event: Event) -> None:
        """Log what goes wrong around the data."""
        match event:
            case events.OffsetsOutOfRange():
                self._log.error(
                    "offsets_gone",
                    topic=event.topic,
                    partition=event.partition,
                    wanted=event.wanted,
                    resumed=event.resumed,
                    hint=_GONE_HINT,
                )
            case events.ModelFailed():
                self._log.error(
                    "model_failed", stream=event.stream, window_start=moment(event.start_ns), error=event.error
                )
            case events.RetryScheduled():
                self._log.warning(
                    "retry_scheduled",
                    what=event.what,
                    error=event.error,
                    attempt=event.attempt,
                    delay_s=round(event.delay_s, 3),
                )
            case events.CommitRefused():
                self._log.warning("commit_refused", error=event.error)
            case events.EffortChanged(rung=0):
                self._log.info("overload_over", frames=event.frames)
            case events.EffortChanged():
                self._log.warning("overload", rung=event.rung, frames=event.frames, asks_model=event.asks_model)
            case events.WorkBegunAgain():
                self._log.warning("work_begun_again", number=event.number)
            case _:
                pass

    def _lifecycle(self, event: Event) -> None:
        """Log where the worker is between its start and its end."""
        match event:
            case events.PartitionsAssigned():
                self._log.info("partitions_assigned", numbers=event.numbers)
            case events.PartitionsHandedOver():
                self._log.info(
                    "partitions_handed_over",
                    numbers=event.numbers,
                    left=event.left,
                    took_ms=round(event.took_ms, 1),
                )
            case events.PartitionsRevoked(lost=True):
                self._log.warning("partitions_lost", numbers=event.numbers)
            case events.PartitionsRevoked():
                self._log.info("partitions_revoked", numbers=event.numbers)
            case events.Restored() if event.results:
                self._log.info("restored", number=event.number, streams=event.streams, results=event.results)
            case events.ResultsReplayed() if event.new:
                self._log.info("results_were_missing_from_the_store", offered=event.results, new=event.new)
            case events.StreamForgotten():
                self._log.info("stream_forgotten", stream=event.stream)
            case events.Stopping():
                self._log.info("stopping", reason=event.reason)
            case events.Stopped():
                self._log.info("stopped", open_streams=event.open_streams)
            case _:
                pass

    def _models(self, event: Event) -> None:
        """Log which models are in service, and how they agree."""
        match event:
            case events.ModelSwapped():
                self._log.info(
                    "model_swapped",
                    role=event.role,
                    name=event.name,
                    version=event.version,
                    sha256=event.sha256,
                    before=event.before,
                    took_ms=round(event.took_ms, 1),
                )
            case events.ModelUnchanged():
                self._log.info(
                    "model_unchanged", role=event.role, name=event.name, version=event.version, sha256=event.sha256
                )
            case events.ModelRefused():
                self._log.error(
                    "model_refused", role=event.role, source=event.source, reason=event.reason, hint=_REFUSED_HINT
                )
            case events.ShadowFailed(given_up=True):
                self._log.error("shadow_given_up", error=event.error, hint=_GIVEN_UP_HINT)
            case events.ShadowSummarised():
                self._log.info("shadow_compared", **_compared(event))
            case _:
                pass


def _compared(summary: events.ShadowSummarised) -> dict[str, object]:
    return {
        "model": summary.model_sha256,
        "shadow": summary.shadow_sha256,
        "heads": {
            agreement.head: {
                "windows": agreement.windows,
                "differed": agreement.differed,
                "mean_distance": round(agreement.mean_distance, 4),
            }
            for agreement in summary.heads
        },
        "skipped": summary.skipped,
        "failed": summary.failed,
        "differing": [f"{stream} {moment(start_ns)}" for stream, start_ns in summary.differing],
    }


class _Remembered:
    """The sessions of which something was said, the last so many of them."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._said: OrderedDict[tuple[str, str], None] = OrderedDict()

    def is_new(self, stream: str, session: str) -> bool:
        """Tell whether this is the first time, and remember it."""
        with self._lock:
            is_new = (stream, session) not in self._said
            self._said[stream, session] = None
            self._said.move_to_end((stream, session))
            if len(self._said) > _REMEMBERED:
                self._said.popitem(last=False)
            return is_new


def moment(event_ns: int) -> str:
    """Return event time as people write it, to the nanosecond, in UTC."""
    seconds, rest_ns = divmod(event_ns, NS_PER_S)
    fraction = f".{rest_ns:09d}".rstrip("0") if rest_ns else ""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}{fraction}Z"
