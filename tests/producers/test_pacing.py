"""When a record is due."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from triptych.producers.pacing import Pacer

clock = st.integers(0, 10**18)


@given(clock, clock, clock)
def test_in_real_time_the_wait_ends_when_the_record_is_due(began_ns: int, media_ns: int, now_ns: int) -> None:
    """Never earlier, and there is no wait for what is overdue."""
    wait_ns = Pacer(realtime=True, began_ns=began_ns).wait_ns(media_ns, monotonic_ns=now_ns)

    assert wait_ns >= 0
    assert now_ns + wait_ns >= began_ns + media_ns
    assert wait_ns == 0 or now_ns + wait_ns == began_ns + media_ns


@given(clock, clock, clock)
def test_fast_playback_never_waits(began_ns: int, media_ns: int, now_ns: int) -> None:
    """The speed of the broker is the pace."""
    pacer = Pacer(realtime=False, began_ns=began_ns)

    assert pacer.wait_ns(media_ns, monotonic_ns=now_ns) == 0
    assert pacer.behind_ns(media_ns, monotonic_ns=now_ns) == 0
