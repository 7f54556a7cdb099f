"""The drift of a live feed's clock from the wall clock."""

from __future__ import annotations

from random import Random

import pytest

from triptych.producers.session.clock_drift import SPAN_NS, DriftMeter

S = 1_000_000_000
MS = 1_000_000


def drift_of(rate: float, seconds: int, burst_s: int = 1) -> DriftMeter:
    """Return the meter of a feed whose clock runs at this rate, and that arrives in bursts."""
    meter = DriftMeter()
    for second in range(seconds):
        meter.observe(round(second * rate * S), (second // burst_s * burst_s) * S)
    return meter


def test_an_exact_clock_does_not_drift() -> None:
    """Nor does that of a feed in bursts of six seconds."""
    assert drift_of(1.0, 300).drift_ns == 0
    assert not drift_of(1.0, 300, burst_s=6).exceeds_limit


def test_a_slow_clock_drifts() -> None:
    """One percent is more than a second within two minutes."""
    assert not drift_of(0.99, 60).exceeds_limit
    assert drift_of(0.99, 200).exceeds_limit


def test_network_delay_is_not_drift() -> None:
    """The minimum delay of each span counts."""
    meter = DriftMeter()
    for second in range(3 * SPAN_NS // S):
        meter.observe(second * S, second * S + (4 * S if second % 5 else 0))

    assert meter.drift_ns == 0


@pytest.mark.parametrize("ppm", [100, 0, -250])
def test_the_drift_rate_is_measured_in_ppm(ppm: float) -> None:
    """Within the noise of the network. Two spans in which everything is late change nothing."""
    luck = Random(3)  # noqa: S311 - a network
    meter = DriftMeter()
    for number in range(10 * 60 * 10):
        wall_ns = number * S // 10
        late_ms = 400 if 100 < number // 10 < 160 else luck.randrange(200)
        meter.observe(round(wall_ns * (1 + ppm / 1e6)) - late_ms * MS, wall_ns)

    assert meter.ppm == pytest.approx(ppm, abs=25)


def test_the_drift_rate_needs_four_spans() -> None:
    """Before that it would be noise."""
    meter = DriftMeter()
    for second in range(78):
        meter.observe(second * S, second * S)
    assert meter.ppm is None
