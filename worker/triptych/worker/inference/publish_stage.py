"""The publish stage: one thread sends to Kafka, another writes to the store what Kafka has acknowledged.

No batch waits for the acknowledgement of the one before: whatever is submitted while Kafka has not answered is sent
together afterwards, as one publication, and the store is written meanwhile. The order stays: dead letters and results
on their topics, then the store; results of a stream in the order of their submission; replays before later results.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from triptych.worker.inference.jobs import AnyJob, WindowJob
from triptych.worker.matching.similarities import WindowSources
from triptych.worker.partitions.partition import merge_transaction_offsets
from triptych.worker.publishing.messages import OutgoingDeadLetter, ResultEnvelope
from triptych.worker.publishing.novelty import moments_of
from triptych.worker.publishing.publisher import PublishedWindow, ResultPublisher
from triptych.worker.publishing.result import ModelOutput, result_of
from triptych.worker.publishing.stores.protocol import StoredResult

OnFinished = Callable[[Sequence[AnyJob], BaseException | None], None]
"""Called on a thread of the stage when jobs are published, or with the error that prevented it."""


@dataclass(frozen=True, slots=True)
class Submission:
    """Jobs to publish, with their dead letters and results, or `replayed` results for the store only."""

    jobs: Sequence[AnyJob]
    letters: Sequence[OutgoingDeadLetter] = ()
    outputs: Sequence[tuple[WindowJob, ModelOutput]] = ()
    replayed: Sequence[StoredResult] | None = None


class PublishStage:
    """Publishes submissions in order."""

    def __init__(self, publication: ResultPublisher, on_finished: OnFinished) -> None:
        """Start the threads. `close` ends them."""
        self._publication = publication
        self._on_finished = on_finished
        self._waiting: deque[Submission] = deque()
        self._kafka_thread = ThreadPoolExecutor(1, thread_name_prefix="publish")
        self._store_thread = ThreadPoolExecutor(1, thread_name_prefix="store")

    def submit(self, submission: Submission) -> None:
        """Publish after everything that was submitted before. Does not block. Any thread may call it."""
        self._waiting.append(submission)
        self._kafka_thread.submit(self._publish_waiting)

    def check_store(self) -> None:
        """Wait for the store on its thread, so that readiness tells of one that is away before the first result."""
        self._store_thread.submit(self._run_for, (), self._publication.check_store)

    def close(self) -> None:
        """End the threads. What has not started is cancelled. Blocks until running calls end."""
        for pool in (self._kafka_thread, self._store_thread):
            pool.shutdown(wait=True, cancel_futures=True)

    def _publish_waiting(self) -> None:
        """Publish all that waits. Nothing may be left for this call, because an earlier one has published it."""
        together: list[Submission] = []
        while self._waiting:
            submission = self._waiting.popleft()
            if submission.replayed is None:
                together.append(submission)
            else:
                self._publish(together)
                together = []
                replay = partial(self._publication.replay, submission.replayed)
                self._store_thread.submit(self._run_for, submission.jobs, replay)
        self._publish(together)

    def _publish(self, submissions: Sequence[Submission]) -> None:
        if not submissions:
            return
        jobs = [job for submission in submissions for job in submission.jobs]
        try:
            sent = self._send(jobs, submissions)
        except BaseException as error:  # noqa: BLE001 - raised on the main thread
            for job in jobs:  # on this thread, before it publishes anything that was decided later
                job.partition_set.offset_tracker.abandon()
            self._on_finished(jobs, error)
        else:
            self._store_thread.submit(self._store, jobs, sent)

    def _send(self, jobs: Sequence[AnyJob], submissions: Sequence[Submission]) -> Sequence[PublishedWindow]:
        """Send to Kafka what belongs to partitions that this worker still owns. Return what was sent."""
        self._publication.wait_until_confirmed(lambda: any(job.partition_set.may_publish for job in jobs))
        self._wait_for_prompts(jobs)
        owned = {job.partition_set for job in jobs if job.partition_set.may_publish}
        if not owned:
            return ()
        published_ns, started_ns = time.time_ns(), time.monotonic_ns()
        outputs = [
            (job, output)
            for submission in submissions
            for job, output in submission.outputs
            if job.partition_set in owned
        ]
        results = [self._publication.traced(_envelope(job, output, published_ns)) for job, output in outputs]
        letters = [letter for submission in submissions for letter in submission.letters]
        sent = self._publication.send(letters, results, merge_transaction_offsets(owned))
        published = started_ns, time.monotonic_ns()
        for job, _ in outputs:
            job.times.publish = published
        return [PublishedWindow(job.window, stored, job.times) for (job, _), stored in zip(outputs, sent, strict=True)]

    def _wait_for_prompts(self, jobs: Sequence[AnyJob]) -> None:
        """Wait until every prompt that is in effect for the windows is known: a replay will know them, too."""
        windows = [job for job in jobs if isinstance(job, WindowJob)]
        if windows:
            self._publication.wait_for_prompts(
                max(job.window.snapshot.clock_ns for job in windows),
                lambda: any(job.partition_set.may_publish for job in windows),
            )

    def _store(self, jobs: Sequence[AnyJob], sent: Sequence[PublishedWindow]) -> None:
        def store() -> None:
            try:
                self._publication.store_windows(sent)
            except BaseException:
                for job in jobs:
                    job.partition_set.offset_tracker.abandon()
                raise

        self._run_for(jobs, store)

    def _run_for(self, jobs: Sequence[AnyJob], call: Callable[[], None]) -> None:
        error: BaseException | None = None
        try:
            call()
        except BaseException as raised:  # noqa: BLE001 - raised on the main thread
            error = raised
        self._on_finished(jobs, error)


def _envelope(job: WindowJob, output: ModelOutput, published_ns: int) -> ResultEnvelope:
    partition = job.partition_set.partition
    result = result_of(job.window, output, partition=partition, published_ns=published_ns)
    result = job.partition_set.recent.with_novelty(result, moments_of(output.prediction))
    result = job.partition_set.quality.with_flags(result)
    result = job.partition_set.matches.with_matches(result, _sources(output), clock_ns=job.window.snapshot.clock_ns)
    result = job.partition_set.tracks.with_tracks(result)
    return ResultEnvelope(result, partition, job.window.snapshot.to_json())


def _sources(output: ModelOutput) -> WindowSources:
    """Return what prompts are compared with."""
    prediction, times_ns = output.prediction, output.preparation.window.frame_times_ns
    return WindowSources(prediction.vectors, times_ns, prediction.detections, prediction.sound_vectors)
