"""Timestamps that are continuous, and those that jump."""

from __future__ import annotations

from triptych.producers.media.jump_detector import Jump, JumpDetector

S = 1_000_000_000
WRAP = 2**33 * S // 90_000


def detect(*stamps: tuple[int, float]) -> list[object]:
    """Return what comes of timestamps `(track, seconds)`: their seconds, and jumps."""
    detector: JumpDetector[float] = JumpDetector()
    out: list[object] = []
    for track, seconds in stamps:
        out += detector.feed(track, round(seconds * S), seconds)
    return [*out, *detector.finish()]


def test_continuous_timestamps_pass() -> None:
    """Gaps of up to five seconds pass too."""
    assert detect((0, 0), (1, 0.5), (0, 5), (1, 5.5)) == [0, 0.5, 5, 5.5]


def test_a_jump_counts_once_three_packets_agree() -> None:
    """Forward, and back as after a reset or a 33-bit wrap-around."""
    assert detect((0, 1), (0, 100), (0, 100.5), (0, 101), (0, 101.5)) == [1, Jump(100 * S), 100, 100.5, 101, 101.5]
    wrapped = WRAP / S
    assert detect((0, wrapped - 1), (0, 0), (0, 1), (0, 2)) == [wrapped - 1, Jump(0), 0, 1, 2]


def test_a_single_wrong_timestamp_is_dropped() -> None:
    """The following packets are where they were expected."""
    detector: JumpDetector[int] = JumpDetector()
    out = [item for second in (1, 900, 2, 3) for item in detector.feed(0, second * S, second)]

    assert out == [1, 2, 3]
    assert detector.dropped == 1


def test_a_track_with_a_frame_every_ten_seconds_does_not_jump() -> None:
    """None of its frames is dropped."""
    assert detect((0, 0), (0, 10), (0, 20), (0, 30)) == [0, 10, 20, 30]


def test_a_track_may_pause() -> None:
    """The other tracks show that time went on."""
    stamps = [(0, 0.0), (1, 0.0), *((0, second) for second in range(1, 21)), (1, 20.5)]

    assert detect(*stamps) == [seconds for _, seconds in stamps]


def test_two_tracks_jump_once() -> None:
    """Packets that one track still sends from before the jump are dropped."""
    old = [(0, 1.0), (1, 1.0)]
    jump = [(0, 100.0), (1, 1.5), (0, 100.5), (1, 2.0), (0, 101.0), (1, 2.5), (1, 3.0), (1, 100.2), (0, 101.5)]

    assert detect(*old, *jump) == [1.0, 1.0, 1.5, 2.0, Jump(100 * S), 100.0, 100.5, 101.0, 100.2, 101.5]


def test_two_tracks_that_jump_alternately_jump_once() -> None:
    """The packets of both tracks after the jump are kept."""
    stamps = [(0, 1.0), (1, 1.0), (0, 100.0), (1, 99.9), (0, 100.5), (1, 100.1), (0, 101.0), (1, 100.6)]

    found = detect(*stamps)

    assert [item for item in found if isinstance(item, Jump)] == [Jump(99_900_000_000)]
    assert sorted(item for item in found if isinstance(item, float)) == sorted(seconds for _, seconds in stamps)
