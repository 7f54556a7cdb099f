"""The one thread that uses a consumer client of librdkafka.

The client lets one thread in at a time (from confluent-kafka 2.16 on), and a revocation waits inside the call that
polls. So that the caller can poll, commit and query meanwhile, that call runs on this thread, and what the caller asks
for during a revocation runs on it too, inside the client's callback.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Final, TypeVar

Answer = TypeVar("Answer")

TICK_S: Final = 0.02
"""How often `run_while` checks its condition while nothing is asked for."""


class ClientThread:
    """Runs calls one after another."""

    def __init__(self) -> None:
        self._calls: deque[Callable[[], None]] = deque()
        self._asked = threading.Condition()
        self._is_closed = False
        self._thread = threading.Thread(target=self._run, name="librdkafka-consumer", daemon=True)
        self._thread.start()

    def submit(self, call: Callable[[], Answer]) -> Future[Answer]:
        """Run a call after those that were submitted before."""
        answer: Future[Answer] = Future()

        def run() -> None:
            try:
                answer.set_result(call())
            except BaseException as error:  # noqa: BLE001 - handed to the caller, which raises it
                answer.set_exception(error)

        with self._asked:
            self._calls.append(run)
            self._asked.notify()
        return answer

    def run_while(self, is_waiting: Callable[[], bool], deadline_s: float) -> None:
        """Run what is submitted as long as the condition holds, inside a call on this thread.

        Args:
            is_waiting: the condition. A call that is submitted after it has become false runs after the one inside
                which this one waits.
            deadline_s: when to end in any case, by the monotonic clock.
        """
        while is_waiting() and time.monotonic() < deadline_s:
            with self._asked:
                if not self._calls:
                    self._asked.wait(TICK_S)
                call = self._calls.popleft() if self._calls and is_waiting() else None
            if call is not None:
                call()

    def close(self, limit_s: float) -> None:
        """End the thread after the calls that were submitted. Wait for it up to the limit."""
        with self._asked:
            self._is_closed = True
            self._asked.notify()
        self._thread.join(limit_s)

    def _run(self) -> None:
        while True:
            with self._asked:
                self._asked.wait_for(lambda: self._calls or self._is_closed)
                if not self._calls:
                    return
                call = self._calls.popleft()
            call()
