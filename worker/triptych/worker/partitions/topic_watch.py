"""Watches the topics of a pipeline while a worker runs: they may grow, and they may be created again.

A stream has the same partition on every topic, so while the topics have different numbers of partitions the worker
waits. When they agree again, it goes on with the new number. A topic that was deleted and created again has another
id: its offsets have nothing to do with the ones that the worker knows, so the worker ends.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import structlog

from triptych.schemas.names import INPUT_TOPICS, MODALITY_OF, Modality
from triptych.schemas.partition import partition_of
from triptych.transport.errors import RetriableError, TopicMissingError, TopicRecreatedError, TransportError
from triptych.transport.records import Record
from triptych.transport.topic_settings import TopicIdentity

Identify = Callable[[], Mapping[str, TopicIdentity]]
"""Asks the broker for the topics that exist. Blocks, and may raise `TransportError`."""

_log = structlog.get_logger(__name__)

INTERVAL_S: Final = 5.0
_ASK_AGAIN_S: Final = 5.0
"""How long records on unexpected partitions do not cause another request."""
_JOIN_S: Final = 5.0


class TopicWatch:
    """What a worker knows of its topics. The main thread uses it; a thread of its own asks the broker regularly."""

    def __init__(
        self,
        identify: Identify,
        *,
        interval_s: float = INTERVAL_S,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Ask once, and again every `interval_s` from `start` on.

        Raises:
            TopicMissingError: an input topic does not exist.
            RetriableError: the broker does not answer.
        """
        self._identify = identify
        self._interval_s = interval_s
        self._monotonic_s = monotonic_s
        self._lock = threading.Lock()
        self._known = dict(identify())
        self._latest: Mapping[str, TopicIdentity] = self._known
        self._asked_s = float("-inf")
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="topic-watch", daemon=True)
        missing = [topic for topic in INPUT_TOPICS if topic not in self._known]
        if missing:
            raise TopicMissingError(f"no such topic: {', '.join(missing)}; make it with `triptych topics create`")
        # Topics that differ are growing: records sent by the smaller numbers are at their place.
        counts = sorted({each.partitions for each in self._known.values()})
        self._counts: tuple[int, ...] = tuple(counts[:-1] or counts)
        self.waiting_for: str | None = None
        """What is wrong with the topics, so that the worker waits; None if nothing is."""

    @property
    def counts(self) -> tuple[int, ...]:
        """The numbers of partitions that the topics have had, the current one last."""
        return self._counts

    @property
    def ids(self) -> dict[Modality, str]:
        """The ids of the input topics."""
        return {MODALITY_OF[topic]: self._known[topic].id for topic in INPUT_TOPICS}

    def remember(self, counts: Sequence[int]) -> None:
        """Add numbers of partitions that the topics had before: records of that time may still be unread."""
        current = self._counts[-1]
        earlier = {count for count in (*self._counts, *counts) if count < current}
        self._counts = (*sorted(earlier), current)

    def start(self) -> None:
        """Start to ask regularly."""
        self._thread.start()

    def close(self) -> None:
        """Stop asking."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(_JOIN_S)

    def refresh(self) -> None:
        """Ask the broker now, and apply the answer. Blocks.

        Raises:
            TopicRecreatedError: an input topic was created again.
            RetriableError: the broker does not answer.
        """
        latest = self._identify()
        with self._lock:
            self._latest = latest
        self.apply()

    def try_refresh(self) -> bool:
        """Ask the broker now; return whether it answered.

        Raises:
            TopicRecreatedError: an input topic was created again.
        """
        try:
            self.refresh()
        except RetriableError as error:
            _log.warning("topics_unknown", error=str(error))
            return False
        return True

    def apply(self) -> None:
        """Apply the latest answer.

        Raises:
            TopicRecreatedError: an input topic was created again.
        """
        with self._lock:
            latest = self._latest
        self._reject_recreated(latest)
        problem = self._problem(latest)
        if problem != self.waiting_for:
            self.waiting_for = problem
            if problem is not None:
                _log.warning("topics_unequal", reason=problem)
        if problem is None and latest[INPUT_TOPICS[0]].partitions > self._counts[-1]:
            before, now = self._counts[-1], latest[INPUT_TOPICS[0]].partitions
            self._counts = (*self._counts, now)
            _log.info("topics_grown", before=before, partitions=now)

    def notice(self, records: Sequence[Record]) -> None:
        """Ask the broker if a record is on a partition on which it should not be: the topics may have grown.

        Raises:
            TopicRecreatedError: an input topic was created again.
        """
        if self._monotonic_s() - self._asked_s < _ASK_AGAIN_S or not any(map(self._is_unexpected, records)):
            return
        self._asked_s = self._monotonic_s()
        self.try_refresh()

    def _is_unexpected(self, record: Record) -> bool:
        return bool(record.key) and all(partition_of(record.key or b"", n) != record.partition for n in self._counts)

    def _reject_recreated(self, latest: Mapping[str, TopicIdentity]) -> None:
        changed = [t for t in INPUT_TOPICS if t in latest and latest[t].id != self._known[t].id and self._known[t].id]
        if changed:
            raise TopicRecreatedError(
                f"{', '.join(changed)}: deleted and created again while this worker read it: its positions and states "
                "belong to the old topic. Start the worker again: it begins with the new topic"
            )

    def _problem(self, latest: Mapping[str, TopicIdentity]) -> str | None:
        """Return what the topics lack, or None."""
        most = max((each.partitions for each in latest.values()), default=0)
        lacks = [f"{topic} does not exist" for topic in self._known if topic not in latest]
        lacks += [
            f"{topic} has {each.partitions} of {most} partitions"
            for topic, each in latest.items()
            if each.partitions < most
        ]
        return "; ".join(sorted(lacks)) or None

    def _run(self) -> None:
        while not self._stopping.wait(self._interval_s):
            try:
                latest = self._identify()
            except TransportError as error:
                _log.warning("topics_unknown", error=str(error))
                continue
            with self._lock:
                self._latest = latest
