"""A time limit for calls that have none of their own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from triptych.transport.errors import BrokerUnavailableError

Answer = TypeVar("Answer")


def within(limit_s: float, doing: str, call: Callable[[], Answer]) -> Answer:
    """Return what the call returns, or raise what it raises; after the limit leave it behind.

    The call runs on a thread of its own (some 0.1 ms), which cannot be ended from outside: one that was left behind
    stays until the call returns, and does not keep the process alive. So whatever the call works with must be thrown
    away after that.

    Raises:
        BrokerUnavailableError: It did not answer in time; what became of it is not known.
    """
    answer: Future[Answer] = Future()

    def run() -> None:
        try:
            answer.set_result(call())
        except BaseException as error:  # noqa: BLE001 - handed to the caller, which raises it
            answer.set_exception(error)

    threading.Thread(target=run, name="kafka-limited-call", daemon=True).start()
    try:
        return answer.result(limit_s)
    except TimeoutError as error:
        if answer.done():
            raise  # the call's own
        raise BrokerUnavailableError(f"{doing}: no answer within {limit_s:g} s") from error
