"""The command `triptych describe`: ask a vision-language model about results, and publish what it answers.

Order of operations: a result is read, decided about, and asked about; its description is published and acknowledged;
then its offset may be committed. After a crash, the descriptions topic says what exists, so nothing is published twice.
Each stream has one request at a time, so that the next decision knows the last description. Streams do not wait for
one another.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final

import structlog

from triptych.consumers.describing.budget import SpendingLedger, TokenPrices
from triptych.consumers.describing.chat.asking import Asked, WindowAsker
from triptych.consumers.describing.chat.endpoint import RequestStoppedError
from triptych.consumers.describing.chat.media import MediaLimits, window_media
from triptych.consumers.describing.chat.window_message import WindowMedia
from triptych.consumers.describing.gate import DescribeGate, SkipReason
from triptych.consumers.describing.likeness import likeness_of
from triptych.consumers.describing.metrics import DescribeMetrics
from triptych.consumers.describing.pending import PendingResult, PendingResults
from triptych.consumers.describing.stored import StoredDescriptions
from triptych.consumers.evidence.evidence import EvidenceRequest
from triptych.consumers.subscription.log_reading import read_range
from triptych.consumers.subscription.result_buffer import Delivery
from triptych.schemas.codec import decode_result
from triptych.schemas.dead import DeadLetter
from triptych.schemas.dead_codec import encode_dead
from triptych.schemas.errors import MalformedRecordError
from triptych.schemas.names import dead_topic, descriptions_topic
from triptych.schemas.perception.description_codec import encode_description
from triptych.schemas.perception.descriptions import DescribedMedia, Description, DescriptionCost
from triptych.schemas.reasons import DeadReason
from triptych.schemas.results import ModalityReport, Result
from triptych.service.health import Health
from triptych.transport.errors import BrokerUnavailableError, CommitRefusedError, RetriableError
from triptych.transport.protocols import GroupConsumer, Publisher, Transport
from triptych.transport.records import Commit, Message, Poll, Record, TopicPartition

log = structlog.get_logger(__name__)

_POLL_TIMEOUT_S: Final = 0.1
_COMMIT_INTERVAL_S: Final = 1.0
_SEND_TIMEOUT_S: Final = 30.0
_RETRY_S: Final = 1.0
_STOP_LIMIT_S: Final = 10.0
_OBSERVED_RECORDS: Final = 500
"""How many results before the first one are read, for the duration of conditions and for held frames."""
_MAX_WAITING: Final = 1_000
"""At how many unfinished results of a partition its reading pauses."""
_REMEMBERED_STREAMS: Final = 10_000
_TOKENS_OF_INSTRUCTIONS: Final = 800
_TOKENS_OF_A_PICTURE: Final = 1_000


@dataclass(frozen=True, slots=True)
class DescribeLimits:
    """Limits of the program.

    Attributes:
        concurrency: how many windows a model is asked about at the same time.
        media: how much of a window it is given.
        max_age_s: results that were published longer ago are skipped; None for none.
    """

    concurrency: int = 2
    media: MediaLimits = field(default_factory=MediaLimits)
    max_age_s: float | None = None


@dataclass(slots=True)
class _InFlight:
    """A window that a model is asked about, and the cost that is reserved for it."""

    pending: PendingResult
    expected: DescriptionCost
    answered: Future[tuple[WindowMedia, Asked]]


@dataclass(slots=True)
class _LastFrames:
    """The last window with frames of each stream: where a later window's held frame is found."""

    _reports: OrderedDict[str, ModalityReport] = field(default_factory=OrderedDict)

    def note(self, result: Result) -> None:
        if result.modalities.video.offsets and not result.revision:  # late frames are never held
            self._reports[result.stream] = result.modalities.video
            self._reports.move_to_end(result.stream)
            if len(self._reports) > _REMEMBERED_STREAMS:
                self._reports.popitem(last=False)

    def of(self, result: Result) -> ModalityReport | None:
        return self._reports.get(result.stream) if result.modalities.video.state == "held" else None


@dataclass(slots=True)
class DescribeParts:
    """What the loop works with."""

    transport: Transport
    consumer: GroupConsumer
    publisher: Publisher
    gate: DescribeGate
    stored: StoredDescriptions
    ledger: SpendingLedger
    prices: TokenPrices
    asker: WindowAsker
    metrics: DescribeMetrics
    health: Health


class DescribeLoop:
    """Reads results, decides, asks, publishes, commits. Belongs to one thread; requests run on threads of their own."""

    def __init__(
        self,
        parts: DescribeParts,
        limits: DescribeLimits,
        *,
        pipeline: str,
        stream: str | None = None,
        starts: StartOffsets,
    ) -> None:
        """Create a loop that has read nothing.

        Args:
            parts: what it works with.
            limits: its limits.
            pipeline: whose results to describe.
            stream: the only stream to describe; None for all.
            starts: where to begin in a partition that the group has not read yet.
        """
        self._parts = parts
        self._limits = limits
        self._pipeline = pipeline
        self._stream = stream
        self._starts = starts
        self._pending = PendingResults()
        self._in_flight: list[_InFlight] = []
        self._frames = _LastFrames()
        self._ends: dict[TopicPartition, int] = {}
        self._paused: set[TopicPartition] = set()
        self._next_commit_s = 0.0
        self._stop = threading.Event()
        self._budget_day: str | None = None
        self.described = 0

    def run(self, stop: threading.Event, *, until_end: bool = False) -> None:
        """Run until a stop, or with `until_end` until everything that existed at the start is finished.

        Raises:
            TriptychError: the broker or the endpoint rejected the program.
        """
        self._stop = stop
        threads = ThreadPoolExecutor(self._limits.concurrency, thread_name_prefix="describe")
        try:
            while not stop.is_set() and not (until_end and self._is_at_end()):
                self._step(threads)
            self._finish_requests()
        finally:
            self._parts.asker.stop.set()  # ends the requests that are still running
            threads.shutdown()
        self._commit(now=True)

    def _step(self, threads: ThreadPoolExecutor) -> None:
        self._parts.health.beat()
        self._take(self._parts.consumer.poll(_POLL_TIMEOUT_S))
        self._parts.stored.follow()
        self._publish_answers()
        self._start_requests(threads)
        self._pause_and_resume()
        self._commit(now=False)
        self._show()

    # --- reading ----------------------------------------------------------------------------------------------------

    def _take(self, polled: Poll) -> None:
        for tp in polled.lost | polled.revoked:
            self._pending.drop(tp)
            self._ends.pop(tp, None)
            self._paused.discard(tp)
        if polled.assigned:
            self._begin_when_possible(polled.assigned)
        for jump in polled.out_of_range:
            log.warning("results_missed", place=str(jump.tp.partition), missed=jump.resumed - jump.wanted)
        for record in polled.records:
            if self._pending.is_next(record):  # the poll of an assignment may bring records before the start
                self._add(record)

    def _begin_when_possible(self, tps: frozenset[TopicPartition]) -> None:
        """Begin partitions as soon as the broker answers, unless they are taken away meanwhile."""
        while not self._stop.is_set():
            try:
                self._begin(tps)
            except CommitRefusedError:
                return  # the next poll says who has them
            except RetriableError as error:
                log.warning("descriptions_unavailable", reason=str(error))
                self._stop.wait(_RETRY_S)
            else:
                return

    def _begin(self, tps: frozenset[TopicPartition]) -> None:
        """Begin partitions: find out what is described, and where to start."""
        consumer = self._parts.consumer
        self._parts.stored.catch_up()
        committed = consumer.committed(tps)
        starts = {tp: commit.offset for tp, commit in committed.items() if commit is not None}
        first = self._starts.of(consumer, [tp for tp in tps if tp not in starts])
        for tp, offset in first.items():
            consumer.seek(tp, offset)
        if first:
            # Committed at once: otherwise a restart before the first description would begin elsewhere.
            consumer.commit({tp: Commit(offset) for tp, offset in first.items()})
        starts |= first
        self._observe(starts)
        self._ends |= consumer.end_offsets(tps)
        for tp, offset in starts.items():
            self._pending.begin(tp, offset)
        log.info("describing_partitions", partitions=sorted(tp.partition for tp in tps))
        self._parts.health.set_ready("results", ready=True)

    def _observe(self, starts: Mapping[TopicPartition, int]) -> None:
        """Read the results before the start: the state of their streams follows from them."""
        ranges = {tp: (max(0, start - _OBSERVED_RECORDS), start - 1) for tp, start in starts.items() if start > 0}
        for record in read_range(self._parts.transport, ranges) if ranges else ():
            result = self._decoded(record)
            if result is not None:
                self._parts.gate.observe(result)
                self._frames.note(result)

    def _add(self, record: Record) -> None:
        result = self._decoded(record)
        if result is None:
            self._parts.metrics.count_malformed()
        elif self._stream in {None, result.stream}:
            self._parts.metrics.count_result()
        else:
            result = None
        self._pending.add(record, result)

    def _decoded(self, record: Record) -> Result | None:
        try:
            return decode_result(record.key, record.value, record.headers)
        except MalformedRecordError as error:
            log.warning("result_malformed", place=str(record.partition), position=str(record.offset), reason=str(error))
            return None

    def _pause_and_resume(self) -> None:
        full = {tp for tp in self._pending.partitions() if self._pending.waiting(tp) >= _MAX_WAITING}
        half = {tp for tp in self._paused if self._pending.waiting(tp) < _MAX_WAITING // 2}
        self._parts.consumer.pause(full - self._paused)
        self._parts.consumer.resume(half)
        self._paused = (self._paused | full) - half

    # --- deciding and asking ----------------------------------------------------------------------------------------

    def _start_requests(self, threads: ThreadPoolExecutor) -> None:
        for pending in self._pending.take(self._wants_more):
            held = self._frames.of(pending.result)
            self._frames.note(pending.result)
            expected = self._expected_cost()
            reason = self._skip_reason(pending.result, expected)
            if reason is not None:
                self._parts.metrics.count_skipped(reason)
                self._pending.finish(pending)
                continue
            request = EvidenceRequest(Delivery(pending.result, pending.record.value), held)
            answered = threads.submit(self._ask, request)
            self._in_flight.append(_InFlight(pending, expected, answered))

    def _wants_more(self) -> bool:
        return len(self._in_flight) < self._limits.concurrency and not self._stop.is_set()

    def _skip_reason(self, result: Result, expected: DescriptionCost) -> SkipReason | None:
        reason = self._parts.gate.decide(result)
        if reason is not None:
            return reason
        now_ns = time.time_ns()
        max_age_s = self._limits.max_age_s
        if max_age_s is not None and now_ns - result.published_ns > max_age_s * 1e9:
            return SkipReason.OLD
        if not self._parts.ledger.reserve(expected, now_ns):
            self._log_budget(now_ns)
            return SkipReason.BUDGET
        return None

    def _log_budget(self, now_ns: int) -> None:
        today = time.strftime("%Y-%m-%d", time.gmtime(now_ns // 10**9))
        if self._budget_day != today:
            self._budget_day = today
            tokens, usd = self._parts.ledger.spent(now_ns)
            log.warning("description_budget_reached", day=today, tokens=tokens, usd=round(usd, 4))

    def _expected_cost(self) -> DescriptionCost:
        pictures = self._limits.media.pictures if self._parts.asker.abilities.pictures else 0
        expected = _TOKENS_OF_INSTRUCTIONS + pictures * _TOKENS_OF_A_PICTURE
        return self._parts.prices.cost(expected, self._parts.asker.limits.max_output_tokens, estimated=True)

    def _ask(self, request: EvidenceRequest) -> tuple[WindowMedia, Asked]:
        """Fetch the media of a window and ask about it. Runs on a thread of its own."""
        stop = self._parts.asker.stop
        while not stop.is_set():
            try:
                media = window_media(self._parts.transport, request, self._limits.media)
            except BrokerUnavailableError as error:
                log.warning("evidence_unavailable", result=request.delivery.result.id, reason=str(error))
                stop.wait(_RETRY_S)
            else:
                return media, self._parts.asker.ask(request.delivery.result, media)
        raise RequestStoppedError

    # --- publishing -------------------------------------------------------------------------------------------------

    def _publish_answers(self) -> None:
        for one in [one for one in self._in_flight if one.answered.done()]:
            if not self._pending.owns(one.pending):
                self._end(one)  # another program has the partition, and asks again
                continue
            media, asked = one.answered.result()
            if not self._parts.consumer.is_confirmed():
                return  # the partition may be another program's by now: the next poll says so
            description = self._description(one.pending.result, media, asked)
            if self._is_published(one.pending, description, invalid=asked.invalid):
                self._end(one)

    def _is_published(self, pending: PendingResult, description: Description, *, invalid: bool) -> bool:
        """Publish a description; return False if it is to be tried again."""
        messages = [
            _message(descriptions_topic(self._pipeline), encode_description(description, pipeline=self._pipeline))
        ]
        if invalid:
            letter = _dead_letter(pending.record, description.reason or "", self._pipeline)
            messages.insert(0, _message(dead_topic(self._pipeline), encode_dead(letter)))
        try:
            for message in messages:
                self._parts.publisher.send(message).result(_SEND_TIMEOUT_S)
        except (RetriableError, TimeoutError) as error:
            log.warning("description_not_published", result=description.result, reason=str(error))
            self._parts.stored.catch_up()  # it may have been appended all the same
            return self._parts.stored.described.has(description.window)
        self._parts.stored.add(description)
        self._parts.metrics.count_description(description)
        self.described += description.outcome == "described"
        _log_published(description)
        return True

    def _end(self, one: _InFlight) -> None:
        self._in_flight.remove(one)
        self._parts.ledger.release(one.expected)
        self._pending.finish(one.pending)

    def _description(self, result: Result, media: WindowMedia, asked: Asked) -> Description:
        asker, answer = self._parts.asker, asked.answer
        use = asked.use
        fields: dict[str, object] = {
            "result": result.id,
            "prompt_hash": asker.inquiry.prompt_hash,
            "stream": result.stream,
            "start_ns": result.start_ns,
            "end_ns": result.end_ns,
            "published_ns": time.time_ns(),
            "model": asker.inquiry.model,
            "language": asker.inquiry.language,
            "outcome": "described" if answer is not None else "given_up" if asked.given_up else "refused",
            "given": DescribedMedia(
                frames=len(media.pictures) if asked.abilities.pictures else 0,
                cues=len(media.cues),
                audio=asked.abilities.audio and media.wav is not None,
                missing=media.missing,
            ),
            "cost": self._parts.prices.cost(use.input_tokens, use.output_tokens, estimated=use.estimated),
            "likeness": likeness_of(result),
        }
        if answer is None:
            return Description.model_validate(fields | {"reason": asked.reason})
        own = {
            "title": answer.title,
            "what_happens": answer.what_happens,
            "who": tuple(answer.who),
            "answers": answer.answers_to(asked.questions),
            "confidence": answer.confidence,
        }
        return Description.model_validate(fields | own)

    # --- committing and ending --------------------------------------------------------------------------------------

    def _commit(self, *, now: bool) -> None:
        if not now and time.monotonic() < self._next_commit_s:
            return
        self._next_commit_s = time.monotonic() + _COMMIT_INTERVAL_S
        due = self._pending.due_commits()
        if not due:
            return
        try:
            self._parts.consumer.commit({tp: Commit(offset) for tp, offset in due.items()})
        except (CommitRefusedError, RetriableError) as error:
            log.warning("commit_refused", reason=str(error))
        else:
            self._pending.committed(due)

    def _finish_requests(self) -> None:
        """Publish the answers of running requests that come within some seconds: they are paid for."""
        deadline_s = time.monotonic() + _STOP_LIMIT_S
        while self._in_flight and time.monotonic() < deadline_s:
            self._take(self._parts.consumer.poll(_POLL_TIMEOUT_S))
            self._publish_answers()

    def _is_at_end(self) -> bool:
        """Return whether everything is finished that existed when the partitions were assigned."""
        if not self._ends or self._in_flight or self._pending.waiting():
            return False
        return all(self._parts.consumer.position(tp) >= end for tp, end in self._ends.items())

    def _show(self) -> None:
        metrics = self._parts.metrics
        metrics.in_flight.set(len(self._in_flight))
        metrics.waiting.set(self._pending.waiting())
        tokens, usd = self._parts.ledger.spent(time.time_ns())
        metrics.tokens_today.set(tokens)
        metrics.usd_today.set(usd)


@dataclass(frozen=True, slots=True)
class StartOffsets:
    """Where a group begins in partitions that it has not read: at the end, or at an append time."""

    since_ns: int | None = None
    """The append time; 0 for the beginning, None for the end."""

    def of(self, consumer: GroupConsumer, tps: list[TopicPartition]) -> dict[TopicPartition, int]:
        """Return the offsets at which to begin. Raises `BrokerUnavailableError`."""
        if not tps:
            return {}
        if self.since_ns is None:
            return consumer.end_offsets(tps)
        if self.since_ns == 0:
            return consumer.begin_offsets(tps)
        return consumer.offsets_for_times(dict.fromkeys(tps, self.since_ns))


def _message(topic: str, wire: tuple[bytes, bytes, tuple[tuple[str, bytes], ...]]) -> Message:
    key, value, headers = wire
    return Message(topic, key, value, headers)


def _dead_letter(record: Record, reason: str, pipeline: str) -> DeadLetter:
    return DeadLetter(
        pipeline=pipeline,
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        arrival_ns=record.arrival_ns,
        reason=reason,
        code=DeadReason.BAD_ANSWER,
        key=record.key,
        value=record.value,
        headers=record.headers,
    )


def _log_published(description: Description) -> None:
    cost = description.cost
    tokens = cost.input_tokens + cost.output_tokens
    if description.outcome == "described":
        log.info("window_described", result=description.result, tokens=tokens, usd=cost.usd)
    else:
        log.warning(
            "window_not_described",
            result=description.result,
            outcome=description.outcome,
            reason=description.reason,
            tokens=tokens,
        )
