"""Delays between two attempts."""

from __future__ import annotations

from triptych.producers.live.backoff import MAX_DELAY_S, Backoff


def test_delays_double_up_to_a_limit_and_can_be_reset() -> None:
    """Here with the largest jitter."""
    backoff = Backoff(lambda: 1.0)
    waits = [backoff.next_delay_s() for _ in range(9)]
    backoff.reset()

    assert waits[:4] == [0.5, 1, 2, 4]
    assert waits[-1] == MAX_DELAY_S
    assert backoff.next_delay_s() == waits[0]


def test_delays_have_jitter() -> None:
    """A delay lies anywhere in the upper half of its range."""
    assert Backoff(lambda: 0.0).next_delay_s() == 0.25
    assert Backoff(lambda: 0.5).next_delay_s() == 0.375
