"""Convert speech probabilities to speech segments, like `get_speech_timestamps` of silero-vad 6 with its defaults.

This module does no I/O.
"""

from __future__ import annotations

from collections.abc import Sequence

_STEP_SAMPLES = 512
_START_THRESHOLD = 0.5
_END_THRESHOLD = 0.35
_MIN_SILENCE_SAMPLES = 1_600
_MIN_SPEECH_SAMPLES = 4_000
_PAD_SAMPLES = 480


def speech_share(probabilities: Sequence[float], samples: int) -> float:
    """Return the fraction of `samples` samples that is speech, 0 to 1. See `speech_spans` for the arguments."""
    return sum(end - start for start, end in speech_spans(probabilities, samples)) / samples


def speech_spans(probabilities: Sequence[float], samples: int) -> list[tuple[int, int]]:
    """Return the half-open ranges of samples that are speech.

    A segment starts with a step above the upper threshold and ends with a long enough silence below the lower
    threshold. Short segments are discarded, the others are extended by a margin at both ends. The minimum silence is
    longer than two margins, so segments never overlap.

    Args:
        probabilities: one per step of 512 samples.
        samples: total number of samples; the last step may be padded.
    """
    return [
        (max(0, start - _PAD_SAMPLES), min(samples, end + _PAD_SAMPLES))
        for start, end in _raw_spans(probabilities, samples)
        if end - start > _MIN_SPEECH_SAMPLES
    ]


def _raw_spans(probabilities: Sequence[float], samples: int) -> list[tuple[int, int]]:
    spans = []
    start: int | None = None
    silence: int | None = None
    for step, probability in enumerate(probabilities):
        now = step * _STEP_SAMPLES
        if probability >= _START_THRESHOLD:
            silence = None
            start = now if start is None else start
        elif probability < _END_THRESHOLD and start is not None:
            silence = now if silence is None else silence
            if now - silence >= _MIN_SILENCE_SAMPLES:
                spans.append((start, silence))
                start = silence = None
    if start is not None:
        spans.append((start, samples))
    return spans
