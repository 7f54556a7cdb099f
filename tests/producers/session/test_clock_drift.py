"""The drift of a live feed's clock from the wall clock."""

from __future__ import annotations

from triptych.producers.session.clock_drift import SPAN_NS, DriftMeter

S = 1_000_000_000


def drift_of(rate: float, seconds: int, burst_s: int = 1) -> DriftMeter:
    """Return the drift of a feed whose clock runs at this rate and that comes in bursts."""
    meter = DriftMeter()
    for second in range(seconds):
        meter.observe(round(second * rate * S), (second // burst_s * burst_s) * S)
    return meter


def test_a_clock_that_runs_true_does_not_drift() -> None:
    """Nor does one that comes in bursts of six seconds."""
    assert drift_of(1.0, 300).drift_ns == 0
    assert not drift_of(1.0, 300, burst_s=6).exceeds_limit


def test_a_clock_that_runs_slow_drifts() -> None:
    """One part in a hundred is more than a second within two minutes."""
    assert not drift_of(0.99, 60).exceeds_limit
    assert drift_of(0.99, 200).exceeds_limit


def test_a_delay_on_the_way_is_no_drift() -> None:
    """Of each span the least counts."""
    meter = DriftMeter()
    for second in range(3 * SPAN_NS // S):
        meter.observe(second * S, second * S + (4 * S if second % 5 else 0))

    assert meter.drift_ns == 0
