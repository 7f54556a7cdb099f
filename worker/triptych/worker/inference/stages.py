"""The stages between a decision and its publication, which overlap: prepare, infer, publish.

A thread pool prepares windows. One thread infers batch n (`batch_stage.py`) while another publishes those before it
(`publish_stage.py`). Each stage hands over to the next one, so no window waits for the worker's main thread, which
submits windows and collects published ones. `has_room` bounds every queue. An error on any thread is raised by
`collect`.
"""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from triptych.transport.errors import CommitRefusedError, OutcomeUnknownError
from triptych.units import NS_PER_MS
from triptych.worker.alignment.decisions import ClosedWindow
from triptych.worker.inference.batch_stage import BatchStage
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

_Returned = tuple[Sequence[AnyJob], BaseException | None]
"""Jobs that are published, or an error and the jobs that were not published because of it."""


@dataclass(frozen=True, slots=True)
class StageLimits:
    """Bounds of the stages.

    Attributes:
        max_windows_in_flight: how many windows may be in flight.
        room_windows: how many of them must be published before `Stages.wait_for_room` returns, so that the main loop
            makes a step for several windows, and not for each.
        prepare_threads: how many threads prepare windows.
    """

    max_windows_in_flight: int
    room_windows: int
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
        self._runner = runner
        self._limits = limits
        self._overload = overload
        self._hooks = hooks
        self._shadow = shadow
        self._in_flight = 0
        self._finished: queue.SimpleQueue[_Returned] = queue.SimpleQueue()
        self._returned: list[_Returned] = []
        """What `wait_for_room` has taken from the queue."""
        self._prepare_pool = ThreadPoolExecutor(limits.prepare_threads, thread_name_prefix="prepare")
        self._batches = BatchStage(batcher, self._infer, lambda error: self._finished.put(((), error)))
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
        self._batches.add(WindowJob(partition_set, window, pending, effort, preparation, times))

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

    def update(self, now_ns: int, *, flush: bool = False) -> None:
        """Tell the stages how the loop stands, once a step, at the monotonic time `now_ns`. Does not block.

        With `flush`, batches that are not full need not wait for more windows. Nor need they without room: no window
        can come that would fill them.
        """
        if not self._in_flight:
            self._report_effort(changed=self._overload.idle(now_ns))
        self._batches.flush(enabled=flush or not self.has_room)

    def wait_for_room(self, limit_s: float) -> None:
        """Block until there is room for as many windows as the limits say, or until the limit. `collect` afterwards."""
        self._wait_until_left(self._limits.max_windows_in_flight - self._limits.room_windows, limit_s)

    def wait_until_published(self, limit_s: float) -> None:
        """Block until a job comes back, or until the limit. `collect` afterwards."""
        self._wait_until_left(self._in_flight - 1, limit_s)

    def collect(self) -> int:
        """Complete the published jobs, and return how many came back, published or not. Raise the error of a stage.

        Errors after which the partition is restored are not raised: its offset tracker is abandoned already.
        """
        collected = 0
        while (finished := self._next_finished()) is not None:
            jobs, error = finished
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
        return collected

    def between_batches(self, call: Callable[[], None]) -> Future[None]:
        """Call something on the thread that infers, before it takes another batch. Any thread may use this."""
        return self._batches.between_batches(call)

    def close(self) -> None:
        """End the threads. Jobs that have not started are cancelled. Blocks until running jobs end."""
        self._prepare_pool.shutdown(wait=True, cancel_futures=True)
        self._batches.close()
        self._publishing.close()

    def _wait_until_left(self, most: int, limit_s: float) -> None:
        """Block until at most so many jobs are in flight, a stage has failed, or the time is over."""
        deadline_s = time.monotonic() + limit_s
        left = self._in_flight - sum(len(jobs) for jobs, _ in self._returned)
        while left > most:
            try:
                jobs, error = self._finished.get(timeout=max(0.0, deadline_s - time.monotonic()))
            except queue.Empty:
                return
            self._returned.append((jobs, error))
            if error is not None:
                return
            left -= len(jobs)

    def _next_finished(self) -> _Returned | None:
        if self._returned:
            return self._returned.pop(0)
        try:
            return self._finished.get_nowait()
        except queue.Empty:
            return None

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
