"""The offset of audio to video, measured by arrival."""

from __future__ import annotations

from collections.abc import Iterable
from random import Random

import pytest

from triptych.producers.session.av_skew import SkewMeter

MS = 1_000_000
S = 1_000 * MS


def skew_of(arrivals: Iterable[tuple[str, int, int]]) -> SkewMeter:
    """Return a meter that was fed (track, timestamp, arrival) in order of arrival."""
    meter = SkewMeter()
    for track, at_ns, arrival_ns in sorted(arrivals, key=lambda arrival: arrival[2]):
        meter.observe(track, at_ns, arrival_ns)
    return meter


@pytest.mark.parametrize("behind_ms", [300, 0, -300])
def test_the_offset_is_the_difference_of_the_minimum_delays(behind_ms: int) -> None:
    """Although the network delays every packet by up to half a second more."""
    luck = Random(7)  # noqa: S311 - a network
    video = [("video", at, at + S + luck.randrange(500) * MS) for at in range(0, 60 * S, 40 * MS)]
    audio = [("audio", at, at + S + (behind_ms + luck.randrange(500)) * MS) for at in range(0, 60 * S, 20 * MS)]

    offset_ns = skew_of([*video, *audio]).offset_ns

    assert offset_ns == pytest.approx(behind_ms * MS, abs=5 * MS)


def test_bursts_do_not_change_the_offset() -> None:
    """Six seconds of both tracks arrive at once, as with HLS."""
    video = [("video", at, at // (6 * S) * 6 * S + 6 * S) for at in range(0, 60 * S, 40 * MS)]
    audio = [("audio", at, at // (6 * S) * 6 * S + 6 * S) for at in range(0, 60 * S, 20 * MS)]

    assert abs(skew_of([*video, *audio]).offset_ns or 0) <= 20 * MS


def test_the_offset_needs_a_second_and_two_tracks() -> None:
    """Media that was buffered while the feed was opened does not count, nor does a track that has become silent."""
    short = [(track, at, S + at) for at in range(0, S, 40 * MS) for track in ("video", "audio")]
    assert skew_of(short).offset_ns is None
    assert skew_of(("video", at, S + at) for at in range(0, 9 * S, 40 * MS)).offset_ns is None
    silent = [*short, *(("video", at, S + at) for at in range(S, 70 * S, 40 * MS))]
    assert skew_of(silent).offset_ns is None
    assert skew_of(silent[: len(silent) // 4]).offset_ns == 0
