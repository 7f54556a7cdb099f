"""Publishing what was decided: dead letters and results to Kafka, flushed, then results to the store.

The order is the promise (rule 18): what a later state no longer remembers must be on its topic before that state is.
Runs on one thread; a broker or store that is away is asked again, with backoff and jitter, until it answers or the
worker is told to give up.
"""

from __future__ import annotations

import random
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Final, TypeVar

import structlog

from triptych.schemas.codec import encode_result
from triptych.schemas.dead import DeadLetter
from triptych.schemas.dead_codec import encode_dead
from triptych.schemas.names import MODALITIES, MODALITY_OF, STATE_HEADER, Modality, dead_topic, results_topic
from triptych.schemas.reasons import DeadReason
from triptych.schemas.results import Result, Shed, Sync
from triptych.transport.errors import (
    MessageRejectedError,
    OutcomeUnknownError,
    PublishTimeoutError,
    RecordTooLargeError,
    RetriableError,
)
from triptych.transport.protocols import Publisher, TransactionalPublisher
from triptych.transport.records import Delivered, GroupOffsets, Message, Record
from triptych.worker.observability.events import (
    ItemsShed,
    RecordDeadLettered,
    ResultsPublished,
    ResultsReplayed,
    RetryScheduled,
    Service,
    StageTook,
    SyncMeasured,
)
from triptych.worker.observability.hooks import Hooks
from triptych.worker.publishing.stores.errors import StoreUnavailableError
from triptych.worker.publishing.stores.protocol import ResultStore, StoredResult
from triptych.worker.publishing.truncation import smaller_result, without_value

_log = structlog.get_logger(__name__)
_Answer = TypeVar("_Answer")

_FLUSH_S: Final = 5.0
_CONFIRM_AGAIN_S: Final = 0.01
_REPLAYED_AT_ONCE: Final = 500
_REMEMBERED_LETTERS: Final = 4_096
_FIRST_DELAY_S: Final = 0.2
_LONGEST_DELAY_S: Final = 10.0
_LONGEST_REASON: Final = 1_000

Smaller = Callable[[Message, RecordTooLargeError], tuple[Message, ...]]
"""Makes a message smaller that is too large: what to send before it, and last what takes its place."""


class GaveUpError(Exception):
    """Raised inside the publishing thread when the worker stops waiting for a broker or a store."""


@dataclass(frozen=True, slots=True)
class OutgoingDeadLetter:
    """A record for the dead letters, and why: in words, and as one of the closed set."""

    record: Record
    reason: str
    code: DeadReason

    @property
    def place(self) -> tuple[str, int, int]:
        """Where the record lies."""
        return self.record.topic, self.record.partition, self.record.offset


@dataclass(frozen=True, slots=True)
class ResultEnvelope:
    """A result to be published on partition `partition`, with the state of its stream after it."""

    result: Result
    partition: int
    state: bytes


class Publication:
    """Publishes letters and results of one pipeline."""

    def __init__(
        self,
        publisher: Publisher | TransactionalPublisher,
        store: ResultStore,
        *,
        pipeline: str,
        hooks: Hooks,
        is_confirmed: Callable[[], bool] = lambda: True,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """Publish through `publisher` and `store`; neither is closed here.

        Args:
            publisher: where letters and results go; each batch whole, with one of transactions.
            store: where results go after that.
            pipeline: whose topics they are.
            hooks: told of what happens.
            is_confirmed: whether nobody else can own now what we think that we own.
            jitter: spreads attempts, 0 to 1.
        """
        self._publisher = publisher
        self._store = store
        self._pipeline = pipeline
        self._hooks = hooks
        self._is_confirmed = is_confirmed
        self._jitter = jitter
        self._give_up = threading.Event()
        self._lettered: OrderedDict[tuple[str, int, int], None] = OrderedDict()

    @property
    def is_transactional(self) -> bool:
        """Whether each batch is published whole or not at all, with the offsets that it is handed."""
        return not isinstance(self._publisher, Publisher)

    def give_up(self) -> None:
        """Stop waiting for what does not answer; what is not acknowledged then stays uncommitted."""
        self._give_up.set()

    def wait_until_confirmed(self, is_wanted: Callable[[], bool]) -> None:
        """Return when publishing is known to be ours to do, or is no longer wanted.

        A worker that stood still (a frozen process, a machine that slept) may have been replaced meanwhile: whatever it
        was about to publish waits until the group has answered it.

        Raises:
            GaveUpError: the worker was told to give up.
        """
        while is_wanted() and not self._is_confirmed():
            if self._give_up.wait(_CONFIRM_AGAIN_S):
                raise GaveUpError("the group does not say whether this is still ours to publish")

    def publish(
        self,
        letters: Sequence[OutgoingDeadLetter],
        findings: Sequence[ResultEnvelope],
        offsets: GroupOffsets | None = None,
    ) -> None:
        """Publish and return when all of it is on its topic and in the store.

        1. Dead letters, acknowledged. 2. Results, acknowledged. 3. The store. Only then may anything be finished.
        With transactions, the first two and `offsets` are one, and committed before the third.

        Raises:
            GaveUpError: the worker was told to give up.
            StopError: the broker or the store will not take it until a person acts.
            CommitRefusedError: with transactions: it is not ours to publish any more.
            OutcomeUnknownError: with transactions: it is there, or it is not; by now it is decided which.
        """
        new = {letter.place: letter for letter in letters if letter.place not in self._lettered}
        letter_messages = [self._letter_message(letter) for letter in new.values()]
        messages = [self._result_message(finding) for finding in findings]
        if isinstance(self._publisher, Publisher):
            self._send_all(self._publisher, letter_messages, self._smaller_letter)
            self._note_letters(new)
            self._send_all(self._publisher, messages, self._smaller_result)
        else:
            self._send_whole(self._publisher, letter_messages, messages, offsets)
            self._note_letters(new)
        stored = [
            StoredResult(finding.result, message.value) for finding, message in zip(findings, messages, strict=True)
        ]
        if stored:
            self._hooks.emit(ResultsPublished(results=len(stored), new=self._store_all(stored)))
        for finding in findings:
            sync = finding.result.sync
            if sync != Sync() and not finding.result.revision:  # a revision tells of what is past
                self._hooks.emit(SyncMeasured(finding.result.stream, sync.offset_ms, sync.drift_ppm))
            shed = finding.result.shed
            if shed != Shed():
                items: dict[Modality, int] = {modality: getattr(shed, modality) for modality in MODALITIES}
                self._hooks.emit(ItemsShed(finding.result.stream, items, unasked=shed.model))

    def replay(self, results: Sequence[StoredResult]) -> None:
        """Offer the tail of the results topic to the store again: the last worker may have died in between."""
        for first in range(0, len(results), _REPLAYED_AT_ONCE):
            some = results[first : first + _REPLAYED_AT_ONCE]
            self._hooks.emit(ResultsReplayed(results=len(some), new=self._store_all(some)))

    def _store_all(self, results: Sequence[StoredResult]) -> int:
        """Write results to the store, however long it takes; return how many were new."""
        started_ns = time.monotonic_ns()
        new = self._patiently("redis", lambda: sum(self._store.write(results)))
        took_ms = (time.monotonic_ns() - started_ns) / 1e6
        self._hooks.emit(StageTook(stage="store", took_ms=took_ms))
        return new

    def _note_letters(self, new: Mapping[tuple[str, int, int], OutgoingDeadLetter]) -> None:
        """Remember letters that are out: overlapping windows may each find the same record broken."""
        for place, letter in new.items():
            self._lettered[place] = None
            self._hooks.emit(
                RecordDeadLettered(
                    topic=letter.record.topic,
                    partition=letter.record.partition,
                    offset=letter.record.offset,
                    modality=MODALITY_OF[letter.record.topic],
                    reason=letter.reason,
                    code=letter.code,
                )
            )
        while len(self._lettered) > _REMEMBERED_LETTERS:
            self._lettered.popitem(last=False)

    # --- messages -----------------------------------------------------------------------------------------------------

    def _result_message(self, finding: ResultEnvelope) -> Message:
        wire = encode_result(finding.result, pipeline=self._pipeline)
        headers = (*wire.headers, (STATE_HEADER, finding.state))
        return Message(results_topic(self._pipeline), wire.key, wire.value, headers, finding.partition)

    def _letter_message(self, letter: OutgoingDeadLetter) -> Message:
        record = letter.record
        dead = DeadLetter(
            pipeline=self._pipeline,
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            arrival_ns=record.arrival_ns,
            reason=letter.reason[:_LONGEST_REASON],
            code=letter.code,
            key=record.key,
            value=record.value,
            headers=record.headers,
        )
        wire = encode_dead(dead)
        return Message(dead_topic(self._pipeline), wire.key, wire.value, wire.headers, record.partition)

    def _smaller_letter(self, message: Message, error: RecordTooLargeError) -> tuple[Message, ...]:
        if not message.value:
            raise error
        _log.warning("dead_letter_shortened", stream=message.key.decode(errors="replace"), reason=str(error))
        return (without_value(message),)

    def _smaller_result(self, message: Message, error: RecordTooLargeError) -> tuple[Message, ...]:
        _log.warning("result_shortened", stream=message.key.decode(errors="replace"), reason=str(error))
        return smaller_result(message, error, self._pipeline)

    # --- patience -----------------------------------------------------------------------------------------------------

    def _send_all(self, publisher: Publisher, messages: list[Message], smaller: Smaller) -> None:
        """Send messages in order and return when all are acknowledged; `messages` then holds what was sent."""
        if not messages:
            return
        started_ns = time.monotonic_ns()
        futures = [self._send(publisher, messages, at, smaller) for at in range(len(messages))]
        self._patiently("kafka", lambda: publisher.flush(_FLUSH_S))
        refused: set[bytes] = set()
        for at, future in enumerate(futures):
            if messages[at].key in refused or isinstance(future.exception(timeout=0), MessageRejectedError):
                # What follows it of its stream goes once more: the last one on the topic must be the newest.
                refused.add(messages[at].key)
                self._insist(publisher, messages, at, smaller)
            else:
                future.result(timeout=0)
        self._hooks.emit(StageTook(stage="publish", took_ms=(time.monotonic_ns() - started_ns) / 1e6))

    def _send(self, publisher: Publisher, messages: list[Message], at: int, smaller: Smaller) -> Future[Delivered]:
        while True:
            try:
                return self._patiently("kafka", lambda: publisher.send(messages[at]))
            except RecordTooLargeError as error:
                self._shrink(publisher, messages, at, smaller, error)

    def _insist(self, publisher: Publisher, messages: list[Message], at: int, smaller: Smaller) -> None:
        """Send one message until it is taken: smaller where it is too large, else again and again as it is."""

        def attempt() -> None:
            future = self._send(publisher, messages, at, smaller)
            self._patiently("kafka", lambda: publisher.flush(_FLUSH_S))
            try:
                future.result(timeout=0)
            except RecordTooLargeError as error:  # the broker's own limit is lower than ours
                self._shrink(publisher, messages, at, smaller, error)
                attempt()
            except MessageRejectedError as error:
                raise RetriableError(str(error)) from error  # somebody has to change the broker's mind

        self._patiently("kafka", attempt)

    def _shrink(
        self, publisher: Publisher, messages: list[Message], at: int, smaller: Smaller, error: RecordTooLargeError
    ) -> None:
        """Put something smaller in the place of a message; what has to go before it is sent."""
        *before, messages[at] = smaller(messages[at], error)
        for message in before:
            self._patiently("kafka", lambda message=message: publisher.send(message))  # type: ignore[misc]

    def _send_whole(
        self,
        publisher: TransactionalPublisher,
        letters: list[Message],
        results: list[Message],
        offsets: GroupOffsets | None,
    ) -> None:
        """Send messages in one transaction; `letters` and `results` then hold what was sent.

        Where one is refused, which is not always clear, each goes in a transaction of its own, in order.
        """
        if not letters and not results:
            return
        started_ns = time.monotonic_ns()
        try:
            self._transact(publisher, [*letters, *results], offsets)
        except MessageRejectedError:
            for messages, smaller in ((letters, self._smaller_letter), (results, self._smaller_result)):
                for at in range(len(messages)):
                    self._transact_one(publisher, messages, at, smaller, offsets)
        self._hooks.emit(StageTook(stage="publish", took_ms=(time.monotonic_ns() - started_ns) / 1e6))

    def _transact_one(
        self,
        publisher: TransactionalPublisher,
        messages: list[Message],
        at: int,
        smaller: Smaller,
        offsets: GroupOffsets | None,
    ) -> None:
        """Commit one message, made smaller where it is too large."""
        before: list[Message] = []
        while True:
            try:
                self._transact(publisher, [*before, messages[at]], offsets)
            except RecordTooLargeError as error:
                *before, messages[at] = smaller(messages[at], error)
            else:
                return

    def _transact(
        self, publisher: TransactionalPublisher, messages: Sequence[Message], offsets: GroupOffsets | None
    ) -> None:
        """Commit a transaction, or make sure that its outcome is decided before anybody looks for it."""

        def attempt() -> None:
            self.wait_until_confirmed(lambda: True)  # a retry may come long after the first attempt
            publisher.publish(messages, offsets)

        try:
            self._patiently("kafka", attempt)
        except OutcomeUnknownError:
            self._patiently("kafka", publisher.recover)
            raise

    def _patiently(self, what: Service, call: Callable[[], _Answer]) -> _Answer:
        """Call until it answers, waiting longer each time."""
        attempt = 0
        while True:
            try:
                return call()
            except (RetriableError, StoreUnavailableError) as error:
                attempt += 1
                longest_s = min(_LONGEST_DELAY_S, _FIRST_DELAY_S * 2.0**attempt)
                delay_s = 0.0 if isinstance(error, PublishTimeoutError) else longest_s * (0.5 + self._jitter() / 2)
                self._hooks.emit(RetryScheduled(what=what, error=str(error), attempt=attempt, delay_s=delay_s))
                if self._give_up.wait(delay_s):
                    raise GaveUpError(f"{what} does not answer: {error}") from error
