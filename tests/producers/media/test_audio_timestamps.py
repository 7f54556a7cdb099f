"""Timestamps that a demuxer has derived from a sample rate that no longer holds."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, cast

import pytest

from triptych.producers.media.audio_timestamps import AudioTimestamps

TICK = Fraction(1, 90_000)
FRAME = 1_024


@dataclass(frozen=True)
class Stated:
    """What a demuxer says of a packet, in ticks."""

    dts: int
    duration: int
    time_base: Fraction = TICK


@dataclass(frozen=True)
class Decoded:
    """What a decoder says of a frame."""

    sample_rate: int
    samples: int = FRAME


def ticks(rate: int) -> int:
    """Return the duration of a frame in ticks."""
    return round(FRAME / rate / TICK)


@pytest.mark.parametrize(("before", "after"), [(48_000, 96_000), (24_000, 48_000), (48_000, 24_000)])
def test_every_frame_after_a_change_follows_the_one_before(before: int, after: int) -> None:
    """From the second on: the first is decoded after it was placed. Where a timestamp is stated, it holds."""
    stamps = AudioTimestamps()
    placed = []
    units = [(0, before, 4), (20_000, after, 4), (20_000 + 4 * ticks(after), after, 4)]  # each with one timestamp
    for start, rate, frames in units:
        for number in range(frames):
            packet = Stated(start + number * ticks(before), ticks(before))
            at = stamps.correct(cast("Any", packet))
            placed.append(packet.dts if at is None else at)
            stamps.observe(Decoded(rate))
    assert placed == [start + number * ticks(rate) for start, rate, frames in units for number in range(frames)]
