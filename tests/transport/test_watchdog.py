"""Time limits for calls without one."""

from __future__ import annotations

import threading

import pytest

from triptych.transport.errors import BrokerUnavailableError
from triptych.transport.watchdog import within


def test_a_call_that_ends_in_time_returns_or_raises() -> None:
    """Including its own timeout error, which differs from ours."""

    def times_out() -> None:
        raise TimeoutError("its own")

    assert within(5, "asking", lambda: 42) == 42
    with pytest.raises(TimeoutError, match="its own"):
        within(5, "asking", times_out)


def test_a_call_that_does_not_end_is_abandoned() -> None:
    """The caller continues. The thread ends with the call, and does not keep the process alive."""
    may_end = threading.Event()

    with pytest.raises(BrokerUnavailableError, match=r"asking the moon: no answer within 0\.05 s"):
        within(0.05, "asking the moon", may_end.wait)

    (left,) = [thread for thread in threading.enumerate() if thread.name == "kafka-limited-call"]
    assert left.daemon
    may_end.set()
    left.join(5)
    assert not left.is_alive()
