"""Retries with backoff."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from triptych.transport.errors import BrokerUnavailableError, NotAuthorizedError, PublishTimeoutError
from triptych.worker.observability.events import Event, RetryScheduled
from triptych.worker.observability.hooks import Hooks
from triptych.worker.publishing import retry
from triptych.worker.publishing.retry import GaveUpError, RetryPolicy


def failing(*errors: Exception) -> Callable[[], str]:
    """Return a call that raises these errors, one after another, and then succeeds."""
    remaining: Iterator[Exception] = iter(errors)

    def call() -> str:
        for error in remaining:
            raise error
        return "done"

    return call


def test_delays_double_up_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that succeeds ends the retries. Each one is reported."""
    monkeypatch.setattr(retry, "_FIRST_DELAY_S", 0.001)
    monkeypatch.setattr(retry, "_LONGEST_DELAY_S", 0.004)
    events: list[Event] = []
    policy = RetryPolicy(Hooks([events.append]), jitter=lambda: 1.0)

    assert policy.run("kafka", failing(*[BrokerUnavailableError("no broker")] * 4)) == "done"

    retries = [event for event in events if isinstance(event, RetryScheduled)]
    assert [event.delay_s for event in retries] == [0.002, 0.004, 0.004, 0.004]
    assert [event.attempt for event in retries] == [1, 2, 3, 4]


def test_a_publish_timeout_is_retried_at_once() -> None:
    """The call has waited already."""
    events: list[Event] = []

    RetryPolicy(Hooks([events.append])).run("kafka", failing(PublishTimeoutError("slow")))

    assert events == [RetryScheduled(what="kafka", error="slow", attempt=1, delay_s=0.0)]


def test_an_error_that_retries_cannot_fix_is_raised() -> None:
    """Such as missing permissions."""
    with pytest.raises(NotAuthorizedError):
        RetryPolicy(Hooks([])).run("kafka", failing(NotAuthorizedError("no")))


def test_giving_up_ends_a_delay_and_a_wait() -> None:
    """From any thread, and for good."""
    policy = RetryPolicy(Hooks([]), jitter=lambda: 1.0)
    timer = threading.Timer(0.05, policy.give_up)
    timer.start()
    with pytest.raises(GaveUpError, match="redis does not answer: no broker"):
        policy.run("redis", failing(*[BrokerUnavailableError("no broker")] * 10))
    with pytest.raises(GaveUpError, match="not confirmed"):
        policy.wait_until(lambda: False, otherwise="not confirmed")
    timer.join()


def test_a_wait_ends_when_its_condition_holds() -> None:
    """Without a delay if it holds already."""
    answers = iter([False, False, True])
    RetryPolicy(Hooks([])).wait_until(lambda: next(answers), otherwise="not confirmed")
