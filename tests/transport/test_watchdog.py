"""Time limits for calls without one."""

from __future__ import annotations

import threading
from concurrent.futures import Future, wait

import pytest

from triptych.transport import watchdog
from triptych.transport.errors import BrokerUnavailableError
from triptych.transport.watchdog import within

LIMIT_S = 60


def test_a_call_that_ends_in_time_returns_or_raises() -> None:
    """Including its own timeout error, which differs from ours."""

    def times_out() -> None:
        raise TimeoutError("its own")

    assert within(LIMIT_S, "asking", lambda: 42) == 42
    with pytest.raises(TimeoutError, match="its own"):
        within(LIMIT_S, "asking", times_out)


def test_a_call_that_ends_at_its_limit_returns_or_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its outcome may come between the end of the waiting and the look at it."""

    class Late(Future[object]):
        """Becomes done when the waiting for it is over."""

        def result(self, timeout: float | None = None) -> object:
            """Wait in vain the first time."""
            if timeout:
                wait([self], LIMIT_S)
                raise TimeoutError
            return super().result(timeout)

    def fail() -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(watchdog, "Future", Late)
    assert within(0.01, "asking", lambda: 42) == 42
    with pytest.raises(ZeroDivisionError):
        within(0.01, "asking", fail)


def test_a_call_that_does_not_end_is_abandoned() -> None:
    """The caller continues. The thread ends with the call, and does not keep the process alive."""
    may_end = threading.Event()
    before = threading.enumerate()

    with pytest.raises(BrokerUnavailableError, match=r"asking the moon: no answer within 0\.05 s"):
        within(0.05, "asking the moon", may_end.wait)

    (left,) = [
        thread for thread in threading.enumerate() if thread.name == "kafka-limited-call" and thread not in before
    ]
    assert left.daemon
    may_end.set()
    left.join(LIMIT_S)
    assert not left.is_alive()
