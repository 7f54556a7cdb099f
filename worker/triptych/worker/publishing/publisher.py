"""Publication of a batch: dead letters and results to Kafka, then results to the result store.

The order is part of the delivery guarantee. Alignment rule 18 (docs/alignment.md): whatever the state in a result no
longer holds must be on its topic before that result is. `send` runs on one thread, and `store` and `replay` on another;
they block until Kafka or the store has accepted the batch. While a server is unavailable they retry with backoff, until
the worker gives up.
"""

from __future__ import annotations

import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from triptych.schemas.names import MODALITIES, MODALITY_OF, Modality
from triptych.schemas.results import Result, Shed, Sync
from triptych.schemas.tracing.trace_context import UNTRACED, TraceSampler
from triptych.transport.records import GroupOffsets
from triptych.worker.alignment.decisions import ClosedWindow
from triptych.worker.matching.prompt_timeline import NoPrompts, PromptSource
from triptych.worker.observability.events import (
    ItemsShed,
    ObjectsDetected,
    QualityFlagged,
    RecordDeadLettered,
    ResultsPublished,
    ResultsReplayed,
    StageCompleted,
    SyncMeasured,
    WindowPublished,
)
from triptych.worker.observability.hooks import Hooks
from triptych.worker.publishing.messages import MessageBuilder, OutgoingDeadLetter, ResultEnvelope
from triptych.worker.publishing.retry import RetryPolicy
from triptych.worker.publishing.sender import BatchSender
from triptych.worker.publishing.stores.protocol import ResultStore, StoredResult
from triptych.worker.publishing.window_times import WindowTimes

_REPLAY_BATCH: Final = 500
_REMEMBERED_DEAD_LETTERS: Final = 4_096


@dataclass(frozen=True, slots=True)
class PublishedWindow:
    """A window whose result Kafka has, and when the stages worked on it."""

    window: ClosedWindow
    sent: StoredResult
    times: WindowTimes


@dataclass(frozen=True, slots=True)
class ResultAdditions:
    """What a result gets before it is published.

    Attributes:
        prompts: tells which prompts are in effect.
        sampler: decides which results have a trace id.
    """

    prompts: PromptSource
    sampler: TraceSampler = UNTRACED


class ResultPublisher:
    """Publishes the dead letters and results of one pipeline."""

    def __init__(
        self,
        sender: BatchSender,
        store: ResultStore,
        messages: MessageBuilder,
        *,
        retry: RetryPolicy,
        hooks: Hooks,
        is_confirmed: Callable[[], bool] = lambda: True,
        additions: ResultAdditions | None = None,
    ) -> None:
        """Publish through `sender` and `store`, which the caller closes.

        Args:
            sender: sends messages to Kafka, in one of the two delivery modes.
            store: receives results after Kafka has accepted them.
            messages: encodes dead letters and results.
            retry: repeats calls while a server is unavailable; `sender` uses the same one.
            hooks: receive events about what was published.
            is_confirmed: whether the group confirms that this worker still owns its partitions.
            additions: decides what results get before they are published. Without it: no matches, no traces.
        """
        added = additions or ResultAdditions(NoPrompts())
        self._sampler = added.sampler
        self._sender = sender
        self._store = store
        self._messages = messages
        self._retry = retry
        self._hooks = hooks
        self._is_confirmed = is_confirmed
        self._prompts = added.prompts
        self._dead_lettered: OrderedDict[tuple[str, int, int], None] = OrderedDict()

    @property
    def offsets_needed(self) -> bool:
        """Whether `publish` stores the group's offsets together with the messages."""
        return self._sender.offsets_needed

    def give_up(self) -> None:
        """Stop waiting for servers that do not answer. Offsets of unacknowledged work stay uncommitted."""
        self._retry.give_up()

    def wait_until_confirmed(self, is_wanted: Callable[[], bool]) -> None:
        """Block until the group confirms that this worker owns its partitions, or until `is_wanted` returns false.

        A worker that was suspended (a frozen process, a machine that slept) may have lost its partitions meanwhile. It
        must not publish before it has heard from the group again.

        Raises:
            GaveUpError: `give_up` was called.
        """
        self._retry.wait_until(
            lambda: not is_wanted() or self._is_confirmed(),
            otherwise="the group coordinator has not confirmed that this worker still owns its partitions",
        )

    def wait_for_prompts(self, clock_ns: int, is_wanted: Callable[[], bool]) -> None:
        """Block until the prompts at an arrival clock are known, or until `is_wanted` returns false.

        Raises:
            GaveUpError: `give_up` was called.
        """
        self._retry.wait_until(
            lambda: not is_wanted() or self._prompts.is_known(clock_ns),
            otherwise="the broker has not answered which prompts are in effect",
        )

    def send(
        self,
        dead_letters: Sequence[OutgoingDeadLetter],
        envelopes: Sequence[ResultEnvelope],
        offsets: GroupOffsets | None = None,
    ) -> Sequence[StoredResult]:
        """Send a batch to Kafka. Block until all of it is on its topics. Return the results, for `store`.

        1. Dead letters, acknowledged. 2. Results, acknowledged. With transactions, both and `offsets` are one
        transaction. 3. `store`. Only then may the caller finish the input records.

        Raises:
            GaveUpError: `give_up` was called.
            StopError: Kafka accepts nothing until somebody intervenes.
            CommitRefusedError: another member owns the partitions now. Transactions only.
            OutcomeUnknownError: the batch may or may not be committed. By now that is settled. Transactions only.
        """
        # Overlapping windows may each find the same record broken.
        new = {letter.source: letter for letter in dead_letters if letter.source not in self._dead_lettered}
        sent = self._sender.send(
            [self._messages.dead_letter(letter) for letter in new.values()],
            [self._messages.result(envelope) for envelope in envelopes],
            offsets=offsets,
            on_dead_letters_sent=lambda: self._note_dead_letters(new),
        )
        return [
            StoredResult(envelope.result, message.value or b"")
            for envelope, message in zip(envelopes, sent, strict=True)
        ]

    def traced(self, envelope: ResultEnvelope) -> ResultEnvelope:
        """Return the envelope with the trace id in its result, if the window is traced."""
        result = envelope.result
        trace_id = self._sampler.trace_id(result.stream, result.start_ns, result.window)
        return (
            envelope if trace_id is None else replace(envelope, result=result.model_copy(update={"trace_id": trace_id}))
        )

    def store(self, sent: Sequence[StoredResult]) -> None:
        """Write results to the store that `send` has returned. Block until the store has them.

        Raises:
            GaveUpError: `give_up` was called.
            StoreRefusedError: the store accepts nothing until somebody intervenes.
        """
        if sent:
            self._hooks.emit(ResultsPublished(results=len(sent), new=self._write_to_store(sent)))
        self._report(stored.result for stored in sent)

    def store_windows(self, windows: Sequence[PublishedWindow]) -> None:
        """Write the results of windows to the store, as `store` does, and report when the stages worked on each."""
        started_ns = time.monotonic_ns()
        self.store([window.sent for window in windows])
        stored = started_ns, time.monotonic_ns()
        for window in windows:
            window.times.store = stored
            self._hooks.emit(WindowPublished(window.window, window.sent.result, window.times))

    def check_store(self) -> None:
        """Block until the store accepts writes. Nothing is written. Raises the same errors as `store`."""
        started_ns = time.monotonic_ns()
        self._retry.run("redis", self._store.ping)
        self._hooks.emit(StageCompleted(stage="store", took_ms=(time.monotonic_ns() - started_ns) / 1e6))

    def replay(self, results: Sequence[StoredResult]) -> None:
        """Write the tail of the results topic to the store again. Block until the store has it.

        The previous owner may have crashed after Kafka acknowledged a result and before the store had it.

        Raises:
            GaveUpError: `give_up` was called.
            StopError: the store accepts nothing until somebody intervenes.
        """
        for first in range(0, len(results), _REPLAY_BATCH):
            batch = results[first : first + _REPLAY_BATCH]
            self._hooks.emit(ResultsReplayed(results=len(batch), new=self._write_to_store(batch)))

    def _write_to_store(self, results: Sequence[StoredResult]) -> int:
        """Write results to the store. Return how many were new to it."""
        started_ns = time.monotonic_ns()
        new = self._retry.run("redis", lambda: sum(self._store.write(results)))
        took_ms = (time.monotonic_ns() - started_ns) / 1e6
        self._hooks.emit(StageCompleted(stage="store", took_ms=took_ms))
        return new

    def _note_dead_letters(self, sent: Mapping[tuple[str, int, int], OutgoingDeadLetter]) -> None:
        """Remember and report dead letters that are on their topic."""
        for source, letter in sent.items():
            self._dead_lettered[source] = None
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
        while len(self._dead_lettered) > _REMEMBERED_DEAD_LETTERS:
            self._dead_lettered.popitem(last=False)

    def _report(self, results: Iterable[Result]) -> None:
        """Emit the measurements that results carry."""
        for result in results:
            if result.sync != Sync() and not result.revision:  # a revision repeats a measurement of the past
                self._hooks.emit(SyncMeasured(result.stream, result.sync.offset_ms, result.sync.drift_ppm))
            if result.quality is not None and result.quality.flags and not result.revision:
                self._hooks.emit(QualityFlagged(result.stream, result.quality.flags))
            if result.shed != Shed():
                items: dict[Modality, int] = {modality: getattr(result.shed, modality) for modality in MODALITIES}
                self._hooks.emit(
                    ItemsShed(result.stream, items, model_skipped=result.shed.model, pictures=result.shed.detections)
                )
            if result.detections and not result.revision:
                labels = Counter(detection.label for detection in result.detections)
                self._hooks.emit(ObjectsDetected(result.stream, labels))
