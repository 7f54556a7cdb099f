"""Which frames are taken, for any rate and spacing."""

from __future__ import annotations

from fractions import Fraction
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from triptych.producers.media.sampling import Sampler, SamplingGrid

NS_PER_S = 1_000_000_000
rates = st.fractions(min_value=Fraction(1, 10), max_value=120, max_denominator=1001)
times = st.lists(st.integers(0, 20 * NS_PER_S), min_size=1, max_size=80, unique=True).map(sorted)


@given(rates, st.integers(0, 10**19))
def test_every_time_lies_in_its_cell(rate: Fraction, time_ns: int) -> None:
    """Instants and cells agree to the nanosecond, however far from the start."""
    grid = SamplingGrid(rate)

    cell = grid.cell_at(time_ns)

    assert grid.instant_ns(cell) <= time_ns < grid.instant_ns(cell + 1)


@given(rates, times)
def test_the_first_frame_at_or_after_each_instant_is_taken_once(rate: Fraction, frames: list[int]) -> None:
    """Checked against the definition, instant by instant."""
    sampler, grid = Sampler(SamplingGrid(rate)), SamplingGrid(rate)

    taken = [frame for frame in frames if sampler.take(frame)]

    last = grid.cell_at(frames[-1])
    expected = {next(frame for frame in frames if frame >= grid.instant_ns(cell)) for cell in range(last + 1)}
    assert taken == sorted(expected)


@given(rates, times)
def test_no_frame_is_taken_before_the_watermark(rate: Fraction, frames: list[int]) -> None:
    """`next_instant_ns` after each frame holds for all later frames."""
    sampler = Sampler(SamplingGrid(rate))
    watermark_ns = 0

    for frame in frames:
        if sampler.take(frame):
            assert frame >= watermark_ns
        assert sampler.next_instant_ns >= watermark_ns
        watermark_ns = sampler.next_instant_ns


@given(rates, times, st.randoms(use_true_random=False))
def test_a_packet_that_may_be_skipped_never_becomes_a_taken_frame(
    rate: Fraction, frames: list[int], shuffle: Random
) -> None:
    """Skipping changes nothing, whatever the decoding order."""
    decoding = sorted(frames, key=lambda frame: (frame // NS_PER_S, shuffle.random()))
    sampler = Sampler(SamplingGrid(rate))

    useful = {frame for frame in decoding if sampler.may_take(frame)}

    assert all(frame in useful for frame in frames if sampler.take(frame))
