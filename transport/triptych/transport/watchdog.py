"""Time limits for calls that have none of their own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from triptych.transport.errors import BrokerUnavailableError

Answer = TypeVar("Answer")


def within(limit_s: float, doing: str, call: Callable[[], Answer]) -> Answer:
    """Return what the call returns, or raise what it raises. After the limit, abandon it.

    The call runs on its own thread (about 0.1 ms). An abandoned thread runs until the call returns, and does not keep
    the process alive. So discard everything that the call uses.

    Raises:
        BrokerUnavailableError: it did not answer in time; its outcome is unknown.
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
            return answer.result(0)  # the timeout is the call's own; or the call has ended in this moment
        raise BrokerUnavailableError(f"{doing}: no answer within {limit_s:g} s") from error
