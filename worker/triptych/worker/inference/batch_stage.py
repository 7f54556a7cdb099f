"""The batch stage: one thread passes prepared windows to the model, in batches.

It takes a batch as soon as the model is free and a batch is due. What is prepared while the model runs fills the next
batch, so batches grow with the load. A finished preparation wakes the thread; nothing polls.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future

from triptych.units import NS_PER_S
from triptych.worker.inference.batcher import MicroBatcher
from triptych.worker.inference.jobs import WindowJob
from triptych.worker.media.preparer import Preparation


class BatchStage:
    """Batches prepared windows in the order in which they were added, and infers batch after batch."""

    def __init__(
        self,
        batcher: MicroBatcher[WindowJob],
        infer: Callable[[Sequence[WindowJob]], None],
        on_failed: Callable[[BaseException], None],
    ) -> None:
        """Start the thread. `close` ends it.

        Args:
            batcher: collects the prepared windows. Only this stage uses it.
            infer: is called with each batch, on the thread of the stage.
            on_failed: is called with an error after which the thread has ended.
        """
        self._batcher = batcher
        self._infer = infer
        self._on_failed = on_failed
        self._changed = threading.Condition()
        self._preparing: deque[WindowJob] = deque()
        self._calls: deque[tuple[Future[None], Callable[[], None]]] = deque()
        self._is_flushing = False
        self._is_closed = False
        self._thread = threading.Thread(target=self._run, name="infer")
        self._thread.start()

    def add(self, job: WindowJob) -> None:
        """Add a window. It joins a batch when it and those before it are prepared. Does not block."""
        with self._changed:
            self._preparing.append(job)
        job.preparation.add_done_callback(self._on_prepared)

    def flush(self, *, enabled: bool) -> None:
        """Pass batches that are not full to the model without waiting for more windows, from now on, or no longer."""
        if enabled != self._is_flushing:
            with self._changed:
                self._is_flushing = enabled
                self._changed.notify()

    def between_batches(self, call: Callable[[], None]) -> Future[None]:
        """Call something on the thread of the stage, before it takes another batch. Any thread may use this."""
        future: Future[None] = Future()
        with self._changed:
            if self._is_closed:
                future.cancel()
            else:
                self._calls.append((future, call))
                self._changed.notify()
        return future

    def close(self) -> None:
        """End the thread. What has not started is dropped. Blocks until the running batch ends."""
        with self._changed:
            self._is_closed = True
            for future, _ in self._calls:
                future.cancel()
            self._calls.clear()
            self._changed.notify()
        self._thread.join()

    def _on_prepared(self, _: Future[tuple[Preparation, float]]) -> None:
        with self._changed:
            if self._preparing and self._preparing[0].preparation.done():
                self._changed.notify()

    def _run(self) -> None:
        try:
            while self._run_next():
                pass  # what has been run is not kept while the thread waits
        except BaseException as error:  # noqa: BLE001 - raised on the main thread
            self._on_failed(error)

    def _run_next(self) -> bool:
        """Run the next call or batch. Return False after `close`."""
        work = self._next()
        if work is None:
            return False
        work()
        return True

    def _next(self) -> Callable[[], None] | None:
        """Wait for the next call or batch. Return what to do, or None after `close`."""
        with self._changed:
            while not self._is_closed:
                if self._calls:
                    future, call = self._calls.popleft()
                    return lambda: _complete(future, call)
                now_ns = time.monotonic_ns()
                while self._preparing and self._preparing[0].preparation.done():
                    job = self._preparing.popleft()
                    self._batcher.add(job.window.stream, job, now_ns)
                batch = self._batcher.take(now_ns, flush=self._is_flushing and not self._preparing)
                if batch:
                    return lambda: self._infer(batch)
                due_ns = self._batcher.due_ns()
                self._changed.wait(None if due_ns is None else (due_ns - now_ns) / NS_PER_S)
        return None


def _complete(future: Future[None], call: Callable[[], None]) -> None:
    """Run a call and complete its future."""
    if not future.set_running_or_notify_cancel():
        return
    try:
        call()
    except BaseException as error:  # noqa: BLE001 - handed to the caller
        future.set_exception(error)
    else:
        future.set_result(None)
