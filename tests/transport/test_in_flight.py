"""What a publisher holds until it is acknowledged."""

from __future__ import annotations

import threading

import pytest

from triptych.transport.errors import PublishTimeoutError, TransportClosedError
from triptych.transport.in_flight import InFlight
from triptych.transport.records import Delivered, Message

DONE = Delivered("t", 0, 0)


def message(size: int) -> Message:
    """Return a message of so many bytes."""
    return Message("t", b"", b"x" * size)


def test_messages_are_handed_over_in_order_and_again_in_order() -> None:
    """After a failure all that is not settled comes again, whether or not it had been handed over."""
    in_flight = InFlight(100)
    sent = [in_flight.add(message(1), 0) for _ in range(3)]
    assert in_flight.take() == sent[:3]
    sent.append(in_flight.add(message(1), 0))
    in_flight.settle(sent[1], DONE)

    in_flight.send_again()

    assert in_flight.take() == [sent[0], sent[2], sent[3]]


def test_the_bound_is_in_bytes() -> None:
    """Room is made by settling; a message over the bound is taken when nothing else is held."""
    in_flight = InFlight(10)
    large = in_flight.add(message(50), 0)
    with pytest.raises(PublishTimeoutError, match="50 bytes are unacknowledged, 10 are allowed"):
        in_flight.add(message(1), 0.01)
    in_flight.settle(large, DONE)

    for _ in range(10):
        in_flight.add(message(1), 0)
    with pytest.raises(PublishTimeoutError):
        in_flight.add(message(1), 0.01)


def test_a_sender_waits_for_room() -> None:
    """It goes on as soon as there is some."""
    in_flight = InFlight(10)
    first = in_flight.add(message(10), 0)
    timer = threading.Timer(0.05, in_flight.settle, (first, DONE))
    timer.start()

    in_flight.add(message(10), 20)

    assert first.delivered.result(0) == DONE
    timer.join()


def test_a_message_in_doubt_goes_alone() -> None:
    """Nothing is under way beside it, neither before nor after."""
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
    """Whether nothing is handed over until somebody wakes it."""
    timer = threading.Timer(0.05, in_flight.wake)
    timer.start()
    handed = in_flight.take()
    timer.join()
    return not handed


def test_waiting_ends_when_all_sent_so_far_is_settled() -> None:
    """What is sent later does not count; what is not settled in time is said."""
    in_flight = InFlight(100)
    first = in_flight.add(message(3), 0)
    with pytest.raises(PublishTimeoutError, match="1 messages with 3 bytes"):
        in_flight.wait(0.01)
    in_flight.settle(first, DONE)
    in_flight.wait(0)


def test_closing_fails_what_is_left_and_refuses_what_comes() -> None:
    """With the reason given."""
    in_flight = InFlight(100)
    left = in_flight.add(message(1), 0)

    in_flight.close(TransportClosedError("closed"))

    assert isinstance(left.delivered.exception(0), TransportClosedError)
    with pytest.raises(TransportClosedError):
        in_flight.add(message(1), 0)


def test_waking_returns_nothing_once() -> None:
    """The publisher's thread then looks for what else there is to do."""
    in_flight = InFlight(100)
    outgoing = in_flight.add(message(1), 0)
    in_flight.wake()

    assert in_flight.take() == []
    assert in_flight.take() == [outgoing]
    in_flight.put_back([outgoing])
    assert in_flight.take() == [outgoing]


def test_taking_ends_at_its_time_out_and_says_how_long_nothing_was_answered() -> None:
    """What only waits in the queue has not been asked yet."""
    in_flight = InFlight(100)
    assert in_flight.take(0.01) == []
    outgoing = in_flight.add(message(1), 0)
    assert in_flight.longest_unanswered_s() == 0
    assert in_flight.take(0.01) == [outgoing]
    outgoing.handed_s -= 30
    in_flight.add(message(1), 0)
    assert in_flight.longest_unanswered_s() == pytest.approx(30, abs=5)
    in_flight.send_again()
    assert in_flight.longest_unanswered_s() == 0
    in_flight.take()
    in_flight.settle(outgoing, DONE)
    assert in_flight.longest_unanswered_s() < 20
