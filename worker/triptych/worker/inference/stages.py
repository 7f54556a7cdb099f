"""The stages between a decision and its publication, which overlap: prepare, infer, publish.

A thread pool prepares windows while they wait for a batch. One thread infers batch n while another publishes those
before it (`publish_stage.py`). The worker's main thread submits windows and collects published ones. `has_room` bounds
every queue. An error on any thread is raised by `collect`.
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
from triptych.units import NS_PER_MS
from triptych.worker.alignment.decisions import ClosedWindow
from triptych.worker.inference.batcher import MicroBatcher
from triptych.worker.inference.jobs import AnyJob, DeadLetterJob, ReplayJob, WindowJob
from triptych.worker.inference.model_runner import ModelRunner
from triptych.worker.inference.publish_stage import PublishStage, Submission
from triptych.worker.intake import Received
from triptych.worker.media.preparer import Preparation, Preparer
from triptych.worker.observability.events import OverloadLevelChanged, StageCompleted
from triptych.worker.observability.hooks import Hooks
from triptych.worker.overload import Effort, Overload, Published
from triptych.worker.partitions.offset_tracker import Pending
from triptych.worker.partitions.partition import PartitionSet
from triptych.worker.publishing.messages import OutgoingDeadLetter
from triptych.worker.publishing.publisher import ResultPublisher
from triptych.worker.publishing.retry import GaveUpError
from triptych.worker.publishing.stores.protocol import StoredResult
from triptych.worker.publishing.window_times import WindowTimes
from triptych.worker.serving.shadow import Shadow

_RECOVERABLE: Final = (GaveUpError, CommitRefusedError, OutcomeUnknownError)
"""Errors of the publish stage after which the partition is restored and its windows are decided again."""

_MAX_BATCHES_AHEAD: Final = 2
"""How many batches the model may have: the one that runs, and one to follow at once. Published ones do not count."""

_LEAST_CHECK_NS: Final = 5 * NS_PER_MS
_LONGEST_CHECK_NS: Final = 50 * NS_PER_MS
_CHECKS_PER_BATCH: Final = 4


@dataclass(frozen=True, slots=True)
class StageLimits:
    """How many windows may be in flight, and how many threads prepare them."""

    max_windows_in_flight: int
    prepare_threads: int


class Stages:
    """Takes decisions in order and publishes them, keeping the order of each stream."""

    def __init__(
        self,
        preparer: Preparer,
        batcher: MicroBatcher[WindowJob],
        runner: ModelRunner,
        publication: ResultPublisher,
        *,
        limits: StageLimits,
        overload: Overload,
        hooks: Hooks,
        shadow: Shadow | None = None,
    ) -> None:
        """Start the threads. `close` ends them."""
        self._preparer = preparer
        self._batcher = batcher
        self._runner = runner
        self._limits = limits
        self._overload = overload
        self._hooks = hooks
        self._shadow = shadow
        self._preparing: deque[WindowJob] = deque()
        self._in_flight = 0
        self._inferring: deque[Future[None]] = deque()
        self._finished: queue.SimpleQueue[tuple[Sequence[AnyJob], BaseException | None]] = queue.SimpleQueue()
        self._prepare_pool = ThreadPoolExecutor(limits.prepare_threads, thread_name_prefix="prepare")
        self._infer_thread = ThreadPoolExecutor(1, thread_name_prefix="infer")
        self._publishing = PublishStage(publication, lambda jobs, error: self._finished.put((jobs, error)))
        self._publishing.check_store()

    # --- called by the worker's main thread ---------------------------------------------------------------------------

    @property
    def has_room(self) -> bool:
        """Whether more windows may be submitted."""
        return self._in_flight < self._limits.max_windows_in_flight

    @property
    def in_flight(self) -> int:
        """The number of windows, dead letters and replays that `collect` has not returned yet."""
        return self._in_flight

    def submit_window(self, partition_set: PartitionSet, window: ClosedWindow) -> None:
        """Submit a closed window for preparation. Does not block."""
        pending = partition_set.offset_tracker.await_result(window.stream, window.snapshot)
        self._count(partition_set, 1)
        effort = self._overload.effort
        times = WindowTimes()
        preparation = self._prepare_pool.submit(self._prepare, window, effort, times)
        self._preparing.append(WindowJob(partition_set, window, pending, effort, preparation, times))

    def submit_dead_letter(
        self, partition_set: PartitionSet, letter: OutgoingDeadLetter, pending: Pending | None
    ) -> None:
        """Submit a dead letter. It is published before every window that is submitted later. Does not block."""
        self._count(partition_set, 1)
        self._publishing.submit(Submission([DeadLetterJob(partition_set, letter, pending)], [letter]))

    def submit_replay(self, partition_set: PartitionSet, results: Sequence[StoredResult]) -> None:
        """Submit restored results to the store, before every window that is submitted later. Does not block."""
        self._count(partition_set, 1)
        self._publishing.submit(Submission([ReplayJob(partition_set)], replayed=results))

    def pump(self, now_ns: int, *, flush: bool = False) -> None:
        """Batch the prepared windows, and pass due batches to the model. `now_ns` is monotonic. Does not block."""
        if not self._in_flight:
            self._report_effort(changed=self._overload.idle(now_ns))
        while self._preparing and self._preparing[0].preparation.done():
            job = self._preparing.popleft()
            self._batcher.add(job.window.stream, job, now_ns)
        while self._inferring and self._inferring[0].done():
            self._inferring.popleft()
        # Without room no window can come that would fill the batch: waiting for one would be in vain.
        flush = flush or not (self.has_room or self._inferring)
        while len(self._inferring) < _MAX_BATCHES_AHEAD:
            batch = self._batcher.take(now_ns, flush=flush and not self._preparing)
            if not batch:
                break
            self._inferring.append(self._infer_thread.submit(self._infer, batch))

    def next_pump_ns(self, now_ns: int) -> int | None:
        """Return when `pump` has something to do next, or None if nothing waits for it.

        A due batch that the model has no room for is nothing to do: the loop would be busy until the model is done, and
        take the interpreter from it.
        """
        if self._preparing and self._preparing[0].preparation.done():
            return now_ns
        if len(self._inferring) >= _MAX_BATCHES_AHEAD and not self._inferring[0].done():
            return None
        return self._batcher.due_ns()

    def check_after_ns(self) -> int:
        """Return how long after a `pump` the next one should come, if no record comes before.

        Windows that are being prepared are ready in a moment. A model needs about as long for a batch as for the one
        before: to look more often would only take CPU from it.
        """
        if self._preparing:
            return _LEAST_CHECK_NS
        return min(max(self._runner.last_batch_ns // _CHECKS_PER_BATCH, _LEAST_CHECK_NS), _LONGEST_CHECK_NS)

    def collect(self) -> int:
        """Complete the published jobs, and return how many came back, published or not. Raise the error of a stage.

        Errors after which the partition is restored are not raised: its offset tracker is abandoned already.
        """
        collected = 0
        while True:
            try:
                jobs, error = self._finished.get_nowait()
            except queue.Empty:
                return collected
            if error is None:
                self._adjust_effort(jobs)  # before the jobs are subtracted from those in flight
            for job in jobs:
                self._count(job.partition_set, -1)
            if error is not None and not isinstance(error, _RECOVERABLE):
                raise error
            for job in jobs:
                if error is None and job.pending is not None:
                    job.partition_set.offset_tracker.complete(job.pending)
            collected += len(jobs)

    def between_batches(self, call: Callable[[], None]) -> Future[None]:
        """Call something on the inference thread, after the batches that it was given. Any thread may use this."""
        return self._infer_thread.submit(call)

    def close(self) -> None:
        """End the threads. Jobs that have not started are cancelled. Blocks until running jobs end."""
        for pool in (self._prepare_pool, self._infer_thread):
            pool.shutdown(wait=True, cancel_futures=True)
        self._publishing.close()

    def _count(self, partition_set: PartitionSet, change: int) -> None:
        self._in_flight += change
        partition_set.in_flight += change

    def _adjust_effort(self, jobs: Sequence[AnyJob]) -> None:
        """Report the lag of published windows to the overload policy."""
        wall_ns, now_ns = time.time_ns(), time.monotonic_ns()
        changed = False
        for job in jobs:
            if isinstance(job, WindowJob):
                lag_ns = wall_ns - job.window.snapshot.clock_ns
                changed |= self._overload.published(Published(job.effort, lag_ns, not self.has_room), now_ns)
        self._report_effort(changed=changed)

    def _report_effort(self, *, changed: bool) -> None:
        if changed:
            effort = self._overload.effort
            self._hooks.emit(
                OverloadLevelChanged(
                    self._overload.rung, effort.frames, asks_model=effort.asks_model, pictures=effort.pictures
                )
            )

    # --- run by the threads of the stages -----------------------------------------------------------------------------

    def _prepare(self, window: ClosedWindow, effort: Effort, times: WindowTimes) -> tuple[Preparation, float]:
        started_ns = time.monotonic_ns()
        preparation = self._preparer.prepare(window, effort)
        times.prepare = started_ns, time.monotonic_ns()
        took_ms = (times.prepare[1] - started_ns) / NS_PER_MS
        self._hooks.emit(StageCompleted(stage="prepare", took_ms=took_ms))
        return preparation, took_ms

    def _infer(self, batch: Sequence[WindowJob]) -> None:
        try:
            wanted = [job for job in batch if job.partition_set.may_publish]
            prepared = [job.preparation.result() for job in wanted]
            started_ns = time.monotonic_ns()
            outputs = self._runner.predict(prepared)
            inferred = started_ns, time.monotonic_ns()
        except BaseException as error:  # noqa: BLE001 - `collect` raises it on the main thread
            self._finished.put((batch, error))
            return
        for job in wanted:
            job.times.infer = inferred
        letters = [
            OutgoingDeadLetter(item.entry.payload.record, item.reason, item.code)
            for preparation, _ in prepared
            for item in preparation.bad
            if isinstance(item.entry.payload, Received)
        ]
        self._publishing.submit(Submission(batch, letters, list(zip(wanted, outputs, strict=True))))
        answered = [(output.preparation.window, output.prediction) for output in outputs if output.is_predicted]
        if self._shadow is not None and answered:
            self._shadow.offer(outputs[0].model, answered)
