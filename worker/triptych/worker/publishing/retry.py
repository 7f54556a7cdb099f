"""Retries with exponential backoff and jitter for Kafka and the result store."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from typing import Final, TypeVar

from triptych.transport.errors import PublishTimeoutError, RetriableError
from triptych.worker.observability.events import RetryScheduled, Service
from triptych.worker.observability.hooks import Hooks
from triptych.worker.publishing.stores.errors import StoreUnavailableError

_Value = TypeVar("_Value")

_FIRST_DELAY_S: Final = 0.2
_LONGEST_DELAY_S: Final = 10.0
_CONDITION_INTERVAL_S: Final = 0.01


class GaveUpError(Exception):
    """Raised in the publishing thread when the worker stops waiting for a broker or a store."""


class RetryPolicy:
    """Repeats a call until it succeeds, or until another thread calls `give_up`.

    There is no limit on the number of attempts: the worker keeps its work in flight, and so applies backpressure, for
    as long as a server is away.
    """

    def __init__(self, hooks: Hooks, *, jitter: Callable[[], float] = random.random) -> None:
        """Create a policy that reports each retry.

        Args:
            hooks: receive a `RetryScheduled` event before each delay.
            jitter: returns a number from 0 to 1 that spreads the delays of several workers.
        """
        self._hooks = hooks
        self._jitter = jitter
        self._given_up = threading.Event()

    def give_up(self) -> None:
        """Make every current and later wait raise `GaveUpError`. Any thread may call it."""
        self._given_up.set()

    def run(self, service: Service, call: Callable[[], _Value]) -> _Value:
        """Return the value of `call`. Block and retry while `service` is unavailable.

        The delay doubles with each attempt, up to a limit. A publish timeout is retried at once: the call has already
        waited.

        Raises:
            GaveUpError: `give_up` was called.
        """
        attempt = 0
        while True:
            try:
                return call()
            except (RetriableError, StoreUnavailableError) as error:
                attempt += 1
                longest_s = min(_LONGEST_DELAY_S, _FIRST_DELAY_S * 2.0**attempt)
                delay_s = 0.0 if isinstance(error, PublishTimeoutError) else longest_s * (0.5 + self._jitter() / 2)
                self._hooks.emit(RetryScheduled(what=service, error=str(error), attempt=attempt, delay_s=delay_s))
                if self._given_up.wait(delay_s):
                    raise GaveUpError(f"{service} does not answer: {error}") from error

    def wait_until(self, condition: Callable[[], bool], *, otherwise: str) -> None:
        """Block until `condition` returns true.

        Raises:
            GaveUpError: `give_up` was called; the message is `otherwise`.
        """
        while not condition():
            if self._given_up.wait(_CONDITION_INTERVAL_S):
                raise GaveUpError(otherwise)
