"""Audio is cut into utterances at the pauses in speech."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from triptych.producers.media.audio import PcmChunk
from triptych.producers.speech.utterances import (
    MARGIN_STEPS,
    MAX_STEPS,
    STEP_NS,
    STEP_SAMPLES,
    Utterance,
    UtteranceCutter,
)

LOUD = 8_000
CHUNK_SAMPLES = 8_000
S = 1_000_000_000


def detector(samples: NDArray[np.float32]) -> list[float]:
    """Return a score for each step, which grows with the loudness."""
    return [float(min(1.0, 4 * step.mean())) for step in samples.reshape(-1, STEP_SAMPLES)]


def steps_of(*runs: tuple[bool, int]) -> NDArray[np.int16]:
    """Return audio, int16 [N], from pairs of whether someone speaks and for how many steps."""
    return np.concatenate([np.full(count * STEP_SAMPLES, LOUD if speaks else 0, np.int16) for speaks, count in runs])


def cut(samples: NDArray[np.int16], base_ns: int = 0) -> list[Utterance]:
    """Return the utterances of continuous audio in chunks, after checking the watermark."""
    cutter, found, watermark_ns = UtteranceCutter(detector, base_ns), [], base_ns
    for offset in range(0, len(samples), CHUNK_SAMPLES):
        chunk = samples[offset : offset + CHUNK_SAMPLES]
        fresh = list(cutter.feed(PcmChunk(base_ns + offset * 62_500, chunk)))
        assert all(utterance.start_ns >= watermark_ns for utterance in fresh)
        assert cutter.watermark_ns >= watermark_ns
        found, watermark_ns = found + fresh, cutter.watermark_ns
        assert cutter.read_ns - watermark_ns <= (MAX_STEPS + CHUNK_SAMPLES // STEP_SAMPLES + 1) * STEP_NS
    return [*found, *cutter.skip_to(cutter.read_ns)]


def test_in_silence_the_watermark_follows_by_the_margin() -> None:
    """There is no utterance, and a later one can begin no earlier than the margin."""
    cutter = UtteranceCutter(detector, 5 * S)
    assert not list(cutter.feed(PcmChunk(5 * S, steps_of((False, 100)))))
    assert cutter.watermark_ns == 5 * S + (100 - MARGIN_STEPS) * STEP_NS
    assert cutter.read_ns == 5 * S + 100 * STEP_NS


def test_an_utterance_has_a_margin_on_both_sides() -> None:
    """Its start is the time of its first sample."""
    (utterance,) = cut(steps_of((False, 50), (True, 30), (False, 80)), base_ns=3 * S)
    assert utterance.start_ns == 3 * S + (50 - MARGIN_STEPS) * STEP_NS
    assert utterance.end_ns == 3 * S + (80 + MARGIN_STEPS) * STEP_NS
    assert np.flatnonzero(utterance.samples)[0] == MARGIN_STEPS * STEP_SAMPLES


def test_open_speech_holds_the_watermark_at_its_start() -> None:
    """It is not transcribed yet."""
    cutter = UtteranceCutter(detector, 0)
    assert not list(cutter.feed(PcmChunk(0, steps_of((False, 50), (True, 60)))))
    assert cutter.watermark_ns == (50 - MARGIN_STEPS) * STEP_NS


def test_a_short_pause_ends_only_a_long_utterance() -> None:
    """A single word has no context."""
    speech = steps_of((True, 20), (False, 12), (True, 140), (False, 12), (True, 20), (False, 60))
    assert [len(one.samples) // STEP_SAMPLES for one in cut(speech)] == [20 + 12 + 140 + MARGIN_STEPS, 20 + 12]


def test_speech_without_a_pause_is_cut_at_its_quietest_step() -> None:
    """So its text is in time, and nothing is lost or repeated."""
    samples = steps_of((True, 600))
    samples[170 * STEP_SAMPLES : 171 * STEP_SAMPLES] = 5_000
    utterances = cut(samples)
    assert len(utterances[0].samples) == 170 * STEP_SAMPLES
    assert all(len(one.samples) <= MAX_STEPS * STEP_SAMPLES for one in utterances)
    assert all(one.end_ns == following.start_ns for one, following in pairwise(utterances))
    assert sum(len(one.samples) for one in utterances) == len(samples)


def test_a_click_is_not_speech() -> None:
    """It is not transcribed."""
    assert not cut(steps_of((False, 50), (True, 2), (False, 100)))


def test_a_gap_ends_an_utterance() -> None:
    """The next utterance has the time of its own audio."""
    cutter = UtteranceCutter(detector, 0)
    assert not list(cutter.feed(PcmChunk(0, steps_of((True, 50)))))
    (before,) = cutter.feed(PcmChunk(10 * S, steps_of((True, 50))))
    (after,) = cutter.skip_to(20 * S)
    assert (before.start_ns, before.end_ns) == (0, 50 * STEP_NS)
    assert (after.start_ns, after.end_ns) == (10 * S, 10 * S + 50 * STEP_NS)
    assert cutter.watermark_ns == cutter.read_ns == 20 * S


def test_the_detector_gets_the_preceding_audio() -> None:
    """It keeps no state between calls."""
    lengths: list[int] = []

    def noting(samples: NDArray[np.float32]) -> list[float]:
        lengths.append(len(samples) // STEP_SAMPLES)
        return detector(samples)

    cutter = UtteranceCutter(noting, 0)
    for number in range(4):
        assert not list(cutter.feed(PcmChunk(number * 20 * STEP_NS, steps_of((False, 20)))))
    assert lengths == [20, 36, 36, 36]
