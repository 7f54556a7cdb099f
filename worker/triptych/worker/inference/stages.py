"""The stages between a decision and its publication, overlapping: prepare, infer, publish.

Windows are prepared in a pool while they wait for a batch; one thread infers batch n while another publishes batch n-1.
The worker's own thread submits windows, and collects what is published. Every queue is bounded by `has_room`, and an
error on any thread comes out of `collect`.
"""

from __future__ import annotations

import queue
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from triptych.transport.errors import CommitRefusedError, OutcomeUnknownError
from triptych.worker.alignment.decisions import ClosedWindow
from triptych.worker.inference.batcher import MicroBatcher
from triptych.worker.inference.model_runner import Inference
from triptych.worker.intake import Received
from triptych.worker.media.preparer import Preparation, Preparer
from triptych.worker.observability.events import OverloadLevelChanged, StageCompleted
from triptych.worker.observability.hooks import Hooks
from triptych.worker.overload import Effort, Overload, Published
from triptych.worker.partitions.offset_tracker import Pending
from triptych.worker.partitions.partition import PartitionSet, offsets_of
from triptych.worker.publishing.messages import OutgoingDeadLetter, ResultEnvelope
from triptych.worker.publishing.publisher import ResultPublisher
from triptych.worker.publishing.result import ModelOutput, result_of
from triptych.worker.publishing.retry import GaveUpError
from triptych.worker.publishing.stores.protocol import StoredResult
from triptych.worker.serving.shadow import Shadow

_LEFT_UNDONE: Final = (GaveUpError, CommitRefusedError, OutcomeUnknownError)
"""Errors after which the work is done again, here or elsewhere: from what lies on the topics by then."""

_BATCHES_AHEAD: Final = 2
"""Batches that may wait for the model: one to overlap with the one that runs."""


@dataclass(slots=True)
class WindowJob:
    """A closed window on its way to publication."""

    work: PartitionSet
    window: ClosedWindow
    pending: Pending
    effort: Effort
    preparation: Future[tuple[Preparation, float]]


@dataclass(slots=True)
class LetterJob:
    """A dead letter on its way; with a ticket where no result will speak of its record."""

    work: PartitionSet
    letter: OutgoingDeadLetter
    pending: Pending | None


@dataclass(slots=True)
class ReplayJob:
    """The tail of the results topic on its way to the store once more."""

    work: PartitionSet
    pending: None = None


AnyJob = WindowJob | LetterJob | ReplayJob


@dataclass(frozen=True, slots=True)
class FlowLimits:
    """How many windows may be on their way, and threads that prepare them."""

    max_windows_in_flight: int
    prepare_threads: int


class Stages:
    """Takes decisions in order and publishes them in that order, stream by stream."""

    def __init__(
        self,
        preparer: Preparer,
        batcher: MicroBatcher[WindowJob],
        inference: Inference,
        publication: ResultPublisher,
        *,
        limits: FlowLimits,
        overload: Overload,
        hooks: Hooks,
        shadow: Shadow | None = None,
    ) -> None:
        """Start the threads; `close` ends them."""
        self._preparer = preparer
        self._batcher = batcher
        self._inference = inference
        self._publication = publication
        self._limits = limits
        self._overload = overload
        self._hooks = hooks
        self._shadow = shadow
        self._preparing: deque[WindowJob] = deque()
        self._in_flight = 0
        self._batches = 0
        self._finished: queue.SimpleQueue[tuple[Sequence[AnyJob], BaseException | None]] = queue.SimpleQueue()
        self._prepare_pool = ThreadPoolExecutor(limits.prepare_threads, thread_name_prefix="prepare")
        self._infer_thread = ThreadPoolExecutor(1, thread_name_prefix="infer")
        self._publish_thread = ThreadPoolExecutor(1, thread_name_prefix="publish")

    # --- the worker's own thread --------------------------------------------------------------------------------------

    @property
    def has_room(self) -> bool:
        """Tell whether more may be submitted."""
        return self._in_flight < self._limits.max_windows_in_flight

    @property
    def in_flight(self) -> int:
        """Windows, letters and replays on their way."""
        return self._in_flight

    def submit_window(self, work: PartitionSet, window: ClosedWindow) -> None:
        """Take a window that closed."""
        pending = work.offset_tracker.await_result(window.stream, window.snapshot)
        self._count(work, 1)
        effort = self._overload.effort
        preparation = self._prepare_pool.submit(self._prepare, window, effort)
        self._preparing.append(WindowJob(work, window, pending, effort, preparation))

    def submit_letter(self, work: PartitionSet, letter: OutgoingDeadLetter, pending: Pending | None) -> None:
        """Take a dead letter. It leaves before any window that is submitted later."""
        self._count(work, 1)
        self._publish_thread.submit(self._publish, [LetterJob(work, letter, pending)], [letter], [])

    def submit_replay(self, work: PartitionSet, results: Sequence[StoredResult]) -> None:
        """Take what a restart offers to the store again. It leaves before any window that is submitted later."""
        self._count(work, 1)
        self._publish_thread.submit(self._replay, ReplayJob(work), results)

    def pump(self, now_ns: int, *, flush: bool = False) -> None:
        """Batch what is prepared, and hand batches that are due to the model; `now_ns` is monotonic."""
        if not self._in_flight:
            self._tell_effort(changed=self._overload.idle(now_ns))
        while self._preparing and self._preparing[0].preparation.done():
            job = self._preparing.popleft()
            self._batcher.add(job.window.stream, job, now_ns)
        while self._batches < _BATCHES_AHEAD:
            batch = self._batcher.take(now_ns, flush=flush and not self._preparing)
            if not batch:
                break
            self._batches += 1
            self._infer_thread.submit(self._infer, batch)

    def collect(self) -> int:
        """Complete what was published; return how much. Raises what a stage raised."""
        collected = 0
        while True:
            try:
                jobs, error = self._finished.get_nowait()
            except queue.Empty:
                return collected
            if error is None:
                self._weigh(jobs)
            for job in jobs:
                self._count(job.work, -1)
            self._batches -= any(isinstance(job, WindowJob) for job in jobs)
            if error is not None and not isinstance(error, _LEFT_UNDONE):
                raise error
            for job in jobs:
                if error is None and job.pending is not None:
                    job.work.offset_tracker.complete(job.pending)
            collected += len(jobs)

    def _weigh(self, jobs: Sequence[AnyJob]) -> None:
        """Learn from what was published whether the effort is the right one; called before it is counted off."""
        wall_ns, now_ns = time.time_ns(), time.monotonic_ns()
        changed = False
        for job in jobs:
            if isinstance(job, WindowJob):
                lag_ns = wall_ns - job.window.snapshot.clock_ns
                changed |= self._overload.published(Published(job.effort, lag_ns, not self.has_room), now_ns)
        self._tell_effort(changed=changed)

    def _tell_effort(self, *, changed: bool) -> None:
        if changed:
            effort = self._overload.effort
            self._hooks.emit(
                OverloadLevelChanged(level=self._overload.rung, frames=effort.frames, asks_model=effort.asks_model)
            )

    def _count(self, work: PartitionSet, more: int) -> None:
        self._in_flight += more
        work.in_flight += more

    def between_batches(self, do: Callable[[], None]) -> Future[None]:
        """Do something on the thread that infers, after the batches that were handed to it. Any thread may ask."""
        return self._infer_thread.submit(do)

    def busy_until_ns(self, now_ns: int) -> int | None:
        """Return when `pump` should be called again; None where nothing waits for it."""
        if self._preparing and self._preparing[0].preparation.done():
            return now_ns
        return self._batcher.due_ns()

    def close(self) -> None:
        """End the threads; what was not published is left."""
        for pool in (self._prepare_pool, self._infer_thread, self._publish_thread):
            pool.shutdown(wait=True, cancel_futures=True)

    # --- the stages' threads ------------------------------------------------------------------------------------------

    def _prepare(self, window: ClosedWindow, effort: Effort) -> tuple[Preparation, float]:
        started_ns = time.monotonic_ns()
        preparation = self._preparer.prepare(window, effort)
        took_ms = (time.monotonic_ns() - started_ns) / 1e6
        self._hooks.emit(StageCompleted(stage="prepare", took_ms=took_ms))
        return preparation, took_ms

    def _infer(self, batch: Sequence[WindowJob]) -> None:
        try:
            wanted = [job for job in batch if job.work.owned]
            prepared = [job.preparation.result() for job in wanted]
            said = self._inference.say(prepared)
        except BaseException as error:  # noqa: BLE001 - handed to the worker's own thread, which raises it
            self._finished.put((batch, error))
            return
        letters = [
            OutgoingDeadLetter(item.entry.payload.record, item.reason, item.code)
            for preparation, _ in prepared
            for item in preparation.bad
            if isinstance(item.entry.payload, Received)
        ]
        self._publish_thread.submit(self._publish, batch, letters, list(zip(wanted, said, strict=True)))
        answered = [(what.preparation.window, what.prediction) for what in said if what.is_predicted]
        if self._shadow is not None and answered:
            self._shadow.offer(said[0].model, answered)

    def _publish(
        self,
        jobs: Sequence[AnyJob],
        letters: Sequence[OutgoingDeadLetter],
        said: Sequence[tuple[WindowJob, ModelOutput]],
    ) -> None:
        error: BaseException | None = None
        try:
            self._publication.wait_until_confirmed(lambda: any(job.work.owned for job in jobs))
            works = {job.work for job in jobs if job.work.owned}
            if works:
                published_ns = time.time_ns()
                findings = [self._finding(job, what, published_ns) for job, what in said if job.work in works]
                self._publication.publish(letters, findings, offsets_of(works))
        except BaseException as raised:  # noqa: BLE001 - handed to the worker's own thread, which raises it
            error = raised
            for job in jobs:
                job.work.offset_tracker.abandon()  # here, before this thread turns to what was decided later
        self._finished.put((jobs, error))

    def _replay(self, job: ReplayJob, results: Sequence[StoredResult]) -> None:
        error: BaseException | None = None
        try:
            self._publication.replay(results)
        except BaseException as raised:  # noqa: BLE001 - handed to the worker's own thread, which raises it
            error = raised
        self._finished.put(([job], error))

    @staticmethod
    def _finding(job: WindowJob, said: ModelOutput, published_ns: int) -> ResultEnvelope:
        number = job.work.number
        result = result_of(job.window, said, partition=number, published_ns=published_ns)
        result = job.work.recent.with_novelty(result, said.prediction.moments)
        return ResultEnvelope(result, number, job.window.snapshot.to_json())
