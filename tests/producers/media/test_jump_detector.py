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
    """Packets that one track still sends from before the jump stay before it."""
    old = [(0, 1.0), (1, 1.0)]
    jump = [(0, 100.0), (1, 1.5), (0, 100.5), (1, 2.0), (0, 101.0), (1, 2.5), (1, 3.0), (1, 100.2), (0, 101.5)]

    before = [1.0, 1.0, 1.5, 2.0, 2.5, 3.0]
    assert detect(*old, *jump) == [*before, Jump(100 * S), 100.0, 100.5, 101.0, 100.2, 101.5]


def test_a_small_step_back_is_a_jump() -> None:
    """Of three seconds, or of half of one: decoding timestamps never decrease."""
    for first in (0.0, 2.5):
        old = [second / 10 for second in range(31)]
        new = [first + step / 10 for step in range(4)]
        assert detect(*((0, at) for at in [*old, *new])) == [*old, Jump(round(first * S)), *new]


def test_tracks_that_step_back_one_after_the_other_jump_once() -> None:
    """What the second still sends from before the step stays before it, and nothing is lost."""
    old = [(track, step / 10) for step in range(20) for track in (0, 1)]
    video = [(0, step / 10) for step in range(5)]
    late_audio = [(1, 2.0), (1, 2.1)]
    both = [(1, 0.0), (0, 0.5), (1, 0.1), (0, 0.6), (1, 0.2)]

    found = detect(*old, *video, *late_audio, *both)

    expected = [at for _, at in [*old, *late_audio]], [at for _, at in [*video, *both]]
    assert found == [*expected[0], Jump(0), *expected[1]]


def test_a_track_that_does_not_step_back_goes_on() -> None:
    """Nothing waits for it for long, and nothing of either is lost."""
    old = [(track, step / 10) for step in range(20) for track in (0, 1)]
    audio_steps_back = [(track, step / 10 - track / 2) for step in range(20, 60) for track in (0, 1)]

    found = detect(*old, *audio_steps_back)

    assert [type(one) for one in found].count(Jump) == 1
    assert len(found) == len(old) + len(audio_steps_back) + 1


def test_steps_back_in_quick_succession_all_count() -> None:
    """As in HLS with segments of one second that each begin at zero."""
    segment = [(track, step / 10) for step in range(10) for track in (0, 1)]

    found = detect(*segment * 5)

    assert [type(one) for one in found].count(Jump) == 4
    assert len(found) == 5 * len(segment) + 4


def test_frames_that_were_stored_in_the_wrong_order_do_not_jump() -> None:
    """Some muxers store the presentation time of reordered frames as their decoding time."""
    detector: JumpDetector[float] = JumpDetector()
    stamps = [0, 4, 1, 2, 3, 8, 5, 6, 7, 12, 9, 10, 11]
    out = [item for at in stamps for item in detector.feed(0, at * S // 25, at, may_be_reordered=at % 4 != 0)]

    assert [*out, *detector.finish()] == stamps
    assert detector.dropped == 0


def test_a_single_step_back_is_passed_on() -> None:
    """A packet a little behind is no jump, and the decoder needs it."""
    assert detect((0, 1), (0, 2), (0, 1.9), (0, 3)) == [1, 2, 1.9, 3]
