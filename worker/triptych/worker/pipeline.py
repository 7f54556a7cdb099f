"""The whole worker on one screen: poll → align → prepare → batch → infer → publish → finish → commit.

`Pipeline.step` is one turn of that wheel, run by one thread, which alone touches the consumer and all alignment.
The slow stages run on threads of their own (`flow.py`), so the poll never stops while work is slow. Alignment decides
(`worker/alignment`), this module carries out: it owns the clocks and the order in which things happen.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from triptych.schemas.names import INPUT_TOPICS, MODALITY_OF, TOPIC_OF, Modality
from triptych.schemas.reasons import DeadReason
from triptych.service.health import Health
from triptych.transport.errors import CommitRefusedError, RetriableError
from triptych.transport.protocols import GroupConsumer
from triptych.transport.records import Commit, Poll, Record, TopicPartition
from triptych.units import NS_PER_MS, NS_PER_S
from triptych.worker.alignment.decisions import (
    ClosedWindow,
    DeadLettered,
    Decision,
    DroppedRecord,
    EvictedRevisionState,
    Forgotten,
    LateItem,
)
from triptych.worker.alignment.entry import Entry
from triptych.worker.inference.stages import Stages
from triptych.worker.intake import Received
from triptych.worker.observability import events
from triptych.worker.observability.hooks import Hooks
from triptych.worker.partitions.partition import PartitionSet
from triptych.worker.publish_cutoff import EVERYTHING, PublishCutoff
from triptych.worker.publishing.messages import OutgoingDeadLetter
from triptych.worker.publishing.publisher import ResultPublisher
from triptych.worker.publishing.stores.protocol import StoredResult

_LONGEST_POLL_NS: Final = 100 * NS_PER_MS
_BUSY_POLL_NS: Final = 5 * NS_PER_MS
_ASK_AGAIN_NS: Final = 5 * NS_PER_MS
_ASK_AFTER_FAILURE_NS: Final = 200 * NS_PER_MS
_OBSERVE_NS: Final = 1 * NS_PER_S

RestoreWork = Callable[[int, dict[Modality, int]], tuple[PartitionSet, Sequence[StoredResult]]]
"""Makes the work of a partition number that is read on from these offsets, and what to offer to the store again."""


@dataclass(frozen=True, slots=True)
class PipelineLimits:
    """How long things may take, and how much may be held."""

    commit_interval_ns: int
    shutdown_limit_ns: int
    hand_over_limit_ns: int
    held_bytes: int
    late_letters: bool = False


@dataclass(frozen=True, slots=True)
class RunReport:
    """What a run left: the streams whose last windows are still open and uncommitted."""

    open_streams: tuple[str, ...]


class Pipeline:
    """One worker of one pipeline."""

    def __init__(
        self,
        consumer: GroupConsumer,
        restore: RestoreWork,
        flow: Stages,
        publication: ResultPublisher,
        *,
        limits: PipelineLimits,
        hooks: Hooks,
        health: Health,
        cutoff: PublishCutoff = EVERYTHING,
    ) -> None:
        """Work with parts that `wiring.py` made; none of them is closed here."""
        self._cutoff = cutoff
        self._consumer = consumer
        self._restore = restore
        self._flow = flow
        self._publication = publication
        self._limits = limits
        self._hooks = hooks
        self._health = health
        self._works: dict[int, PartitionSet] = {}
        self._dropped: list[PartitionSet] = []
        # Assigned, but what was dropped is still in flight; and where to begin, None for where the group committed.
        self._waiting: dict[int, dict[Modality, int] | None] = {}
        self._leaving: dict[int, PartitionSet] = {}  # asked back by the group: to be finished, not to be gone on with
        self._leaving_since_ns: int | None = None
        self._was_assigned = False
        self._paused: frozenset[TopicPartition] = frozenset()
        self._ask_again_ns = 0
        self._commit_at_ns = 0
        self._observe_at_ns = 0

    # --- the main flow ------------------------------------------------------------------------------------------------

    def run(self, stop: threading.Event, *, until_end: Callable[[], bool] = bool) -> RunReport:
        """Work until `stop` is set, or until everything there is has been read and published if `until_end()` says so.

        It is asked after each turn, so that it may begin to say so while the worker runs.
        """
        is_done = False
        while not (is_done or stop.is_set()):
            self.step()
            if until_end() and self._has_reached_the_end():
                self._finish(stop, decide=True)
                is_done = not self._waiting  # else some of it has to be done again, and all is read on
                self._paused = self._consumer.assignment()
        self._hooks.emit(events.Stopping(reason="end of the topics" if is_done else "signal"))
        if not is_done:
            self._finish(stop, decide=False)
        report = RunReport(self._open_streams())
        self._hooks.emit(events.Stopped(open_streams=report.open_streams))
        return report

    def step(self) -> None:
        """Turn the wheel once."""
        self._take(self._consumer.poll(self._poll_limit_s()))
        self._ask()
        self._decide()
        self._flow.pump(time.monotonic_ns(), flush=bool(self._leaving))
        self._collect()
        self._hand_over()
        self._balance()
        self._commit()
        self._observe()

    # --- poll ---------------------------------------------------------------------------------------------------------

    def _wall_ns(self) -> int:
        """Return the moment of asking, on the wall clock."""
        return self._cutoff.wall_ns(time.time_ns())

    def _poll_limit_s(self) -> float:
        """Return how long a poll may wait: until something else is due, and never in a spin."""
        now_ns, wall_ns = time.monotonic_ns(), self._wall_ns()
        waits = [_LONGEST_POLL_NS]
        for work in self._works.values():
            next_wakeup = work.next_wakeup()
            if next_wakeup.at_ns is not None:
                waits.append(max(next_wakeup.at_ns, self._ask_again_ns) - now_ns)
            if next_wakeup.wall_ns is not None:
                waits.append(max(next_wakeup.wall_ns - wall_ns, self._ask_again_ns - now_ns))
        due_ns = self._flow.busy_until_ns(now_ns)
        if due_ns is not None:
            waits.append(due_ns - now_ns)
        if self._flow.in_flight or self._waiting:
            waits.append(_BUSY_POLL_NS)
        return max(0, min(waits)) / NS_PER_S

    def _take(self, poll: Poll) -> None:
        at_ns = time.monotonic_ns()
        self._let_go(poll)
        by_number: dict[int, list[Record]] = defaultdict(list)
        for record in poll.records:
            by_number[record.partition].append(record)
        self._begin(poll, by_number)
        for missing in poll.out_of_range:
            self._hooks.emit(
                events.OffsetsOutOfRange(
                    topic=missing.tp.topic,
                    partition=missing.tp.partition,
                    wanted=missing.wanted,
                    resumed=missing.resumed,
                )
            )
        for number, records in by_number.items():
            work = self._works.get(number)
            if work is not None:
                work.receive(records, self._positions(work), at_ns=at_ns)
        self._count_read(poll.records)
        self._stop_taking(poll)

    def _positions(self, work: PartitionSet) -> dict[Modality, int]:
        return {modality: self._consumer.position(tp) for modality, tp in work.tps.items()}

    def _count_read(self, records: Iterable[Record]) -> None:
        sizes: dict[Modality, list[int]] = defaultdict(list)
        for record in records:
            sizes[MODALITY_OF[record.topic]].append(record.size_bytes)
        for modality, of_modality in sizes.items():
            self._hooks.emit(events.RecordsRead(modality=modality, records=len(of_modality), bytes=sum(of_modality)))

    # --- assignment ---------------------------------------------------------------------------------------------------

    def _let_go(self, poll: Poll) -> None:
        """Drop the work of partitions that were taken away: nothing more of it is published or committed."""
        gone = poll.revoked | poll.lost
        numbers = sorted({tp.partition for tp in gone if tp.topic in INPUT_TOPICS})
        for number in numbers:
            self._waiting.pop(number, None)
            for works in (self._works, self._leaving):
                work = works.pop(number, None)
                if work is not None:
                    work.offset_tracker.abandon()
                    self._dropped.append(work)
        if numbers:
            self._paused = frozenset(tp for tp in self._paused if tp not in gone)
            self._hooks.emit(events.PartitionsRevoked(numbers=tuple(numbers), lost=bool(poll.lost)))

    def _stop_taking(self, poll: Poll) -> None:
        """Go on with nothing of what the group asks back: what is in flight of it is finished, the rest is left."""
        if not poll.revoking:
            return
        self._leaving_since_ns = time.monotonic_ns()
        for number in sorted({tp.partition for tp in poll.revoking}):
            self._waiting.pop(number, None)
            work = self._works.pop(number, None)
            if work is not None:
                self._leaving[number] = work

    def _hand_over(self) -> None:
        """Commit and let go of what the group asks back, once nothing of it is in flight.

        At the limit the rest is left to the next owner: from then on nothing of it is published here.
        """
        if self._leaving_since_ns is None:
            return
        took_ns = time.monotonic_ns() - self._leaving_since_ns
        left = sum(work.in_flight for work in self._leaving.values())
        if left and took_ns < self._limits.hand_over_limit_ns:
            return
        for work in self._leaving.values():
            if work.in_flight:
                work.offset_tracker.abandon()
        self._commit_all(self._leaving.values())
        self._consumer.complete_revocation()
        self._leaving_since_ns = None
        self._hooks.emit(
            events.PartitionsHandedOver(numbers=tuple(self._leaving), left=left, took_ms=took_ns / NS_PER_MS)
        )

    def _begin(self, poll: Poll, by_number: dict[int, list[Record]]) -> None:
        """Begin the work of newly assigned partition numbers, once nothing of a former owner here is in flight.

        One a turn: it may take a while, in which those that have begun should go on.
        """
        numbers = sorted({tp.partition for tp in poll.assigned})
        for number in numbers:
            self._waiting[number] = _first_offsets(by_number[number])
        if numbers:
            self._hooks.emit(events.PartitionsAssigned(numbers=tuple(numbers)))
        self._dropped = [work for work in self._dropped if work.in_flight]
        unfinished = {work.number for work in self._dropped}
        is_tried = False
        for number in tuple(self._waiting):
            if self._waiting[number] is None:
                by_number.pop(number, None)  # read on from where it does not go on
            is_ready = number not in unfinished and not is_tried and self._may_begin(number)
            begun = is_ready and self._begin_one(number)
            is_tried |= is_ready
            if not begun:
                self._rewind(number)
                by_number.pop(number, None)
            if is_ready and not begun:
                self._waiting[number] = self._waiting.pop(number)  # its brokers may be away, and those of others there
        self._was_assigned |= bool(poll.assigned)
        ready = self._was_assigned and not self._waiting
        self._health.set_ready("partitions_assigned", ready, "waiting for partitions, or for their state")

    def _may_begin(self, number: int) -> bool:
        """Whether nothing speaks against beginning; what was refused us may be another's without our knowing yet."""
        return self._waiting[number] is not None or self._consumer.is_confirmed()

    def _begin_one(self, number: int) -> bool:
        """Restore a partition number from the results topic; tell whether the broker could say how."""
        start = self._waiting[number]
        try:
            if start is None:
                start = {}
                self._consumer.rewind(TopicPartition(topic, number) for topic in INPUT_TOPICS)
            for modality, topic in TOPIC_OF.items():
                start.setdefault(modality, self._consumer.position(TopicPartition(topic, number)))
            work, replayed = self._restore(number, start)
        except RetriableError as error:
            self._hooks.emit(events.RetryScheduled(what="kafka", error=str(error), attempt=1, delay_s=0.0))
            return False
        if self._publication.offsets_needed:
            self._note_offsets(work)
        self._consumer.resume(work.tps.values())
        self._works[number] = work
        del self._waiting[number]
        if replayed:
            self._flow.submit_replay(work, replayed)
        return True

    def _rewind(self, number: int) -> None:
        """Read later what came of a partition number whose work cannot begin yet."""
        self._consumer.pause(TopicPartition(topic, number) for topic in INPUT_TOPICS)
        for modality, offset in (self._waiting[number] or {}).items():
            self._consumer.seek(TopicPartition(TOPIC_OF[modality], number), offset)

    # --- done, or to be done again ------------------------------------------------------------------------------------

    def _collect(self) -> None:
        """Finish what was published; what was not, and may be or not, is done again from what lies on the topics."""
        collected = self._flow.collect()
        if collected and self._publication.offsets_needed:
            for work in self._works.values():
                self._note_offsets(work)
        for number, work in tuple(self._works.items()):
            if not work.owned:
                self._begin_again(number, work)

    def _note_offsets(self, work: PartitionSet) -> None:
        """Tell what the next transaction with results of this work stores."""
        work.offsets = self._consumer.group_offsets(work.finished())

    def _begin_again(self, number: int, work: PartitionSet) -> None:
        """Drop the work of a partition number that is still ours: it is restored from where the group committed."""
        del self._works[number]
        self._dropped.append(work)
        self._waiting[number] = None
        self._consumer.pause(work.tps.values())
        self._paused -= frozenset(work.tps.values())
        self._hooks.emit(events.PartitionRestarted(number=number))

    # --- ask, decide --------------------------------------------------------------------------------------------------

    def _ask(self) -> None:
        """Ask for end offsets where an answer lets an aligner go on: one question for all."""
        at_ns, wall_ns = time.monotonic_ns(), self._wall_ns()
        if at_ns < self._ask_again_ns:
            return
        asking = [work for work in self._works.values() if _wants_answer(work, at_ns, wall_ns)]
        if asking:
            self._ask_again_ns = at_ns + _ASK_AGAIN_NS
            self._answer(asking, at_ns, wall_ns)

    def _answer(self, works: Iterable[PartitionSet], at_ns: int, wall_ns: int) -> bool:
        """Ask, hand on the answer, and tell whether all of these partitions are read to their ends."""
        works = tuple(works)
        try:
            ends = self._consumer.end_offsets([tp for work in works for tp in work.tps.values()])
        except RetriableError as error:
            self._hooks.emit(events.RetryScheduled(what="kafka", error=str(error), attempt=1, delay_s=0.0))
            self._ask_again_ns = time.monotonic_ns() + _ASK_AFTER_FAILURE_NS
            return False
        self._hooks.emit(events.StageCompleted(stage="ask", took_ms=(time.monotonic_ns() - at_ns) / NS_PER_MS))
        for work in works:
            work.offset_tracker.moved(self._positions(work))
            work.answer(ends, at_ns=at_ns, wall_ns=wall_ns)
        return all(work.is_read_to(ends) for work in works)

    def _decide(self) -> None:
        """Take decisions, one of each partition number in turn, while there is room for what follows from them."""
        deciding = list(self._works.values())
        while deciding and self._flow.has_room:
            for work in tuple(deciding):
                decision = work.decide()
                if decision is None:
                    deciding.remove(work)
                else:
                    self._carry_out(work, decision)

    def _carry_out(self, work: PartitionSet, decision: Decision) -> None:
        if self._cutoff.is_before(decision):
            self._pass_over(work, decision)
            return
        match decision:
            case ClosedWindow():
                self._flow.submit_window(work, decision)
                self._hooks.emit(events.window_event(decision))
            case LateItem():
                self._hooks.emit(events.late_item_event(decision))
                if not decision.revises:
                    self._leave_out(work, decision.entry)
            case DroppedRecord(entry=entry):
                self._hooks.emit(
                    events.RecordDropped(
                        stream=str(entry.stream), modality=entry.modality, session=entry.session, reason=decision.reason
                    )
                )
                self._settle(work, entry)
            case DeadLettered():
                self._refuse(work, decision)
            case EvictedRevisionState():
                self._hooks.emit(events.RevisionStateEvicted(decision.stream, decision.start_ns, decision.end_ns))
            case Forgotten():
                work.offset_tracker.forget(decision.stream, decision.positions)
                self._hooks.emit(events.StreamForgotten(stream=decision.stream))

    @staticmethod
    def _settle(work: PartitionSet, entry: Entry) -> None:
        """Finish a record that was put back: it moved nothing, so no result will speak of it."""
        if entry.redriven:
            work.offset_tracker.settle(entry.modality, entry.offset, entry.stream)

    def _pass_over(self, work: PartitionSet, decision: Decision) -> None:
        """Publish nothing of a decision from before the span; a record that no result will speak of is finished."""
        if isinstance(decision, DeadLettered) and not decision.counted:
            entry = decision.entry
            work.offset_tracker.complete(work.offset_tracker.await_letter(entry.modality, entry.offset, entry.stream))
        elif isinstance(decision, DroppedRecord) or (isinstance(decision, LateItem) and not decision.revises):
            self._settle(work, decision.entry)

    def _leave_out(self, work: PartitionSet, entry: Entry) -> None:
        """Publish nothing of a late item, but where they are wanted its dead letter."""
        if not self._limits.late_letters:
            self._settle(work, entry)
            return
        reason = "every window that it touches has closed, and none of them can be revised any more"
        pending = (
            work.offset_tracker.await_letter(entry.modality, entry.offset, entry.stream) if entry.redriven else None
        )
        self._flow.submit_letter(work, OutgoingDeadLetter(_received(entry).record, reason, DeadReason.LATE), pending)

    def _refuse(self, work: PartitionSet, refused: DeadLettered) -> None:
        entry = refused.entry
        received = _received(entry)
        reason, code = received.reason or refused.reason, received.code or DeadReason.FUTURE
        pending = (
            None if refused.counted else work.offset_tracker.await_letter(entry.modality, entry.offset, entry.stream)
        )
        self._flow.submit_letter(work, OutgoingDeadLetter(received.record, reason, code), pending)

    # --- flow control, commit, observation ----------------------------------------------------------------------------

    def _balance(self) -> None:
        """Pause what is read too far ahead, or everything while nothing more can be worked on; resume the rest."""
        wanted = set()
        for work in self._works.values():
            full = not self._flow.has_room and work.aligner.held_bytes > self._limits.held_bytes
            leading = work.tps if full else work.aligner.leading()
            wanted |= {work.tps[modality] for modality in leading}
        self._consumer.pause(wanted - self._paused)
        self._consumer.resume(self._paused - wanted)
        self._paused = frozenset(wanted)

    def _commit(self, *, now: bool = False) -> None:
        """Commit the lowest unfinished offset of each partition, never more."""
        if not now and time.monotonic_ns() < self._commit_at_ns:
            return
        self._commit_at_ns = time.monotonic_ns() + self._limits.commit_interval_ns
        self._commit_all(self._works.values())

    def _commit_all(self, works: Iterable[PartitionSet]) -> None:
        for work in works:
            offsets = work.committable()
            if not offsets:
                continue
            started_ns = time.monotonic_ns()
            try:
                self._consumer.commit({tp: Commit(offset) for tp, offset in offsets.items()})
            except CommitRefusedError as error:
                self._hooks.emit(events.CommitRefused(error=str(error)))
            except RetriableError as error:
                self._hooks.emit(events.RetryScheduled(what="kafka", error=str(error), attempt=1, delay_s=0.0))
                return  # a broker that is away is asked once a turn: each question may take its whole time limit
            else:
                work.note_committed(offsets)
                took_ms = (time.monotonic_ns() - started_ns) / NS_PER_MS
                self._hooks.emit(events.StageCompleted(stage="commit", took_ms=took_ms))

    def _observe(self) -> None:
        self._health.beat()
        now_ns = time.monotonic_ns()
        if now_ns < self._observe_at_ns:
            return
        self._observe_at_ns = now_ns + _OBSERVE_NS
        if self._works and now_ns >= self._ask_again_ns:
            # Where nothing arrives the arrival clock stands still until it is asked: the lag would seem to grow.
            self._answer(self._works.values(), now_ns, self._wall_ns())
        clocks = [work.aligner.clock_ns for work in self._works.values() if work.aligner.clock_ns]
        if clocks:
            self._hooks.emit(events.LagMeasured(seconds=max(0.0, (time.time_ns() - min(clocks)) / NS_PER_S)))
        aligners = [work.aligner for work in self._works.values()]
        held = sum(aligner.held_bytes for aligner in aligners)
        self._hooks.emit(events.BytesHeld(bytes=held, streams=sum(len(aligner.streams()) for aligner in aligners)))

    # --- the end ------------------------------------------------------------------------------------------------------

    def _has_reached_the_end(self) -> bool:
        """Ask once more when nothing is left to do; the deadlines due at that moment run before the end."""
        # Without partitions nothing is known: they are being moved, or other members have them all.
        if not self._works or self._waiting or self._leaving or self._flow.in_flight:
            return False
        if any(work.aligner.unread or self._owes_revision(work) for work in self._works.values()):
            return False
        at_ns, wall_ns = time.monotonic_ns(), self._wall_ns()
        if at_ns < self._ask_again_ns:
            return False
        self._ask_again_ns = at_ns + _ASK_AGAIN_NS
        return self._answer(self._works.values(), at_ns, wall_ns)

    def _owes_revision(self, work: PartitionSet) -> bool:
        """Tell whether late items are being gathered: what was put back should not wait for the next start."""
        at_ns = work.aligner.revision_wall_ns()
        return at_ns is not None and self._cutoff.wall_ns(at_ns) == at_ns

    def _finish(self, stop: threading.Event, *, decide: bool) -> None:
        """Finish what is in flight, publish, commit. Without `decide` nothing more is taken up, and time is limited."""
        limit_ns = None if decide else time.monotonic_ns() + self._limits.shutdown_limit_ns
        while True:
            if decide and not stop.is_set():
                self._decide()
            elif limit_ns is None:
                limit_ns = time.monotonic_ns() + self._limits.shutdown_limit_ns
            if not self._flow.in_flight:
                break
            if limit_ns is not None and time.monotonic_ns() > limit_ns:
                self._publication.give_up()
            self._consumer.pause(self._consumer.assignment())
            poll = self._consumer.poll(_BUSY_POLL_NS / NS_PER_S)
            self._let_go(poll)
            self._stop_taking(poll)
            self._flow.pump(time.monotonic_ns(), flush=True)
            self._collect()
            self._hand_over()
            self._health.beat()
        self._hand_over()
        self._commit(now=True)

    def _open_streams(self) -> tuple[str, ...]:
        return tuple(sorted({name for work in self._works.values() for name in work.aligner.open_streams()}))


def _first_offsets(records: Iterable[Record]) -> dict[Modality, int]:
    """Return the first offset of each modality: the poll that reports an assignment may bring its first records."""
    first: dict[Modality, int] = {}
    for record in records:
        modality = MODALITY_OF[record.topic]
        first[modality] = min(first.get(modality, record.offset), record.offset)
    return first


def _received(entry: Entry) -> Received:
    """Return the record that an entry was made of."""
    if isinstance(entry.payload, Received):
        return entry.payload
    raise TypeError(f"payload: expected Received, got {type(entry.payload).__name__}")


def _wants_answer(work: PartitionSet, at_ns: int, wall_ns: int) -> bool:
    next_wakeup = work.next_wakeup()
    return (next_wakeup.at_ns is not None and at_ns >= next_wakeup.at_ns) or (
        next_wakeup.wall_ns is not None and wall_ns >= next_wakeup.wall_ns
    )
