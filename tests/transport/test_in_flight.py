"""The messages that a publisher holds until they are acknowledged."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress

import pytest

from triptych.transport.errors import PublishTimeoutError, TransportClosedError
from triptych.transport.in_flight import InFlight
from triptych.transport.records import Delivered, Message

DONE = Delivered("t", 0, 0)


def message(size: int) -> Message:
    """Return a message of the given size."""
    return Message("t", b"", b"x" * size)


def wait_until(holds: Callable[[], bool]) -> None:
    """Wait until something holds."""
    deadline_s = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline_s
        time.sleep(0.001)


def test_messages_are_taken_in_order_and_resent_in_order() -> None:
    """After a failure, everything unsettled is taken again, sent or not."""
    in_flight = InFlight(100)
    sent = [in_flight.add(message(1), 0) for _ in range(3)]
    assert in_flight.take() == sent[:3]
    sent.append(in_flight.add(message(1), 0))
    in_flight.settle(sent[1], DONE)

    in_flight.send_again()

    assert in_flight.take() == [sent[0], sent[2], sent[3]]


def test_the_bound_is_in_bytes() -> None:
    """Settling makes room. A message over the limit is accepted when nothing else is in flight."""
    in_flight = InFlight(10)
    large = in_flight.add(message(50), 0)
    with pytest.raises(PublishTimeoutError, match="50 bytes are unacknowledged, 10 are allowed"):
        in_flight.add(message(1), 0.01)
    in_flight.settle(large, DONE)

    for _ in range(10):
        in_flight.add(message(1), 0)
    with pytest.raises(PublishTimeoutError):
        in_flight.add(message(1), 0.01)


def test_a_sender_blocks_until_there_is_room() -> None:
    """It continues as soon as there is."""
    in_flight = InFlight(10)
    first = in_flight.add(message(10), 0)
    timer = threading.Timer(0.05, in_flight.settle, (first, DONE))
    timer.start()

    in_flight.add(message(10), 20)

    assert first.delivered.result(0) == DONE
    timer.join()


def test_a_suspect_message_is_sent_alone() -> None:
    """Nothing else is in flight with it, neither earlier nor later messages."""
    in_flight = InFlight(100)
    before, doubtful, after = (in_flight.add(message(1), 0) for _ in range(3))
    doubtful.alone = True
    assert in_flight.take() == [before]

    assert holds(in_flight)
    in_flight.settle(before, DONE)
    assert in_flight.take() == [doubtful]
    assert holds(in_flight)
    in_flight.settle(doubtful, DONE)
    assert in_flight.take() == [after]


def holds(in_flight: InFlight) -> bool:
    """Return whether `take` blocks until it is woken."""
    timer = threading.Timer(0.05, in_flight.wake)
    timer.start()
    handed = in_flight.take()
    timer.join()
    return not handed


def test_waiting_ends_when_all_messages_sent_so_far_are_settled() -> None:
    """Later messages do not count. A timeout raises an error."""
    in_flight = InFlight(100)
    first = in_flight.add(message(3), 0)
    with pytest.raises(PublishTimeoutError, match="1 messages with 3 bytes"):
        in_flight.wait(0.01)
    in_flight.settle(first, DONE)
    in_flight.wait(0)


def test_waiting_goes_on_until_the_senders_futures_are_set() -> None:
    """A sender that has waited reads its outcomes at once."""
    in_flight = InFlight(100)
    sent = in_flight.add(message(1), 0)
    was_known = []

    class Observed(Future[Delivered]):
        def set_result(self, result: Delivered) -> None:
            with suppress(PublishTimeoutError):
                in_flight.wait(0)
                was_known.append("before its future was set")
            super().set_result(result)

    sent.delivered = Observed()
    in_flight.settle(sent, DONE)

    in_flight.wait(0)
    assert was_known == []
    assert sent.delivered.result(timeout=0) == DONE


def test_threads_wait_for_different_messages() -> None:
    """Each is woken when the outcomes of those that it has sent are known."""
    in_flight = InFlight(100)
    first = in_flight.add(message(1), 0)
    with ThreadPoolExecutor(2) as threads:
        early = threads.submit(in_flight.wait, 60)
        wait_until(lambda: len(in_flight._awaited) == 1)  # noqa: SLF001 - no other sign that it waits
        second = in_flight.add(message(1), 0)
        late = threads.submit(in_flight.wait, 60)
        wait_until(lambda: len(in_flight._awaited) == 2)  # noqa: SLF001 - no other sign that it waits

        in_flight.settle(first, DONE)
        early.result(60)
        assert not late.done()
        in_flight.settle(second, DONE)
        late.result(60)


def test_closing_fails_messages_in_flight_and_rejects_new_ones() -> None:
    """With the given reason."""
    in_flight = InFlight(100)
    left = in_flight.add(message(1), 0)

    in_flight.close(TransportClosedError("closed"))

    assert isinstance(left.delivered.exception(0), TransportClosedError)
    with pytest.raises(TransportClosedError):
        in_flight.add(message(1), 0)


def test_wake_makes_take_return_once_without_messages() -> None:
    """The publisher's thread then checks for failures."""
    in_flight = InFlight(100)
    outgoing = in_flight.add(message(1), 0)
    in_flight.wake()

    assert in_flight.take() == []
    assert in_flight.take() == [outgoing]
    in_flight.put_back([outgoing])
    assert in_flight.take() == [outgoing]


def test_take_ends_at_its_timeout_and_the_unanswered_time_is_known() -> None:
    """Queued messages do not count as unanswered."""
    in_flight = InFlight(100)
    assert in_flight.take(0.01) == []
    outgoing = in_flight.add(message(1), 0)
    assert in_flight.longest_unanswered_s() == 0
    assert in_flight.take(0.01) == [outgoing]
    outgoing.handed_s -= 30
    in_flight.add(message(1), 0)
    assert in_flight.longest_unanswered_s() >= 30
    in_flight.send_again()
    assert in_flight.longest_unanswered_s() == 0
    in_flight.take()
    in_flight.settle(outgoing, DONE)
    assert in_flight.longest_unanswered_s() < 20
