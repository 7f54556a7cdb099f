"""The thread that uses a consumer client: calls in order, and during a call that waits."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from functools import partial

import pytest

from triptych.transport.librdkafka.client_thread import ClientThread

DEADLINE_S = 60.0


@pytest.fixture
def thread() -> Iterator[ClientThread]:
    """A thread, closed at the end."""
    made = ClientThread()
    yield made
    made.close(DEADLINE_S)


def test_calls_run_in_order_on_one_thread(thread: ClientThread) -> None:
    """And answer, or raise, to the caller."""
    done: list[int] = []

    def add(number: int) -> int:
        done.append(number)
        return threading.get_ident()

    answers = [thread.submit(partial(add, number)) for number in range(20)]

    assert len({answer.result(DEADLINE_S) for answer in answers} | {threading.get_ident()}) == 2
    assert done == list(range(20))
    with pytest.raises(ZeroDivisionError):
        thread.submit(lambda: 1 // 0).result(DEADLINE_S)


def test_calls_run_inside_one_that_waits(thread: ClientThread) -> None:
    """As a commit does during a revocation."""
    is_waiting = threading.Event()
    is_waiting.set()
    outer = thread.submit(lambda: thread.run_while(is_waiting.is_set, time.monotonic() + DEADLINE_S))

    assert thread.submit(lambda: "commit").result(DEADLINE_S) == "commit"
    assert not outer.done()
    is_waiting.clear()
    outer.result(DEADLINE_S)


def test_a_call_after_the_wait_runs_outside_it(thread: ClientThread) -> None:
    """The client must not be closed inside its own callback."""
    is_waiting = threading.Event()
    is_waiting.set()
    order: list[str] = []

    def wait() -> None:
        thread.run_while(is_waiting.is_set, time.monotonic() + DEADLINE_S)
        order.append("waited")

    thread.submit(wait)
    is_waiting.clear()
    thread.submit(partial(order.append, "closed")).result(DEADLINE_S)

    assert order == ["waited", "closed"]


def test_a_wait_ends_at_its_deadline(thread: ClientThread) -> None:
    """Also if nobody asks for anything."""
    thread.submit(lambda: thread.run_while(lambda: True, time.monotonic() + 0.05)).result(DEADLINE_S)
