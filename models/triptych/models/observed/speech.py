"""From probabilities of speech to spans of speech, as silero's `get_speech_timestamps` does with its defaults.

Values in, values out.
"""

from __future__ import annotations

from collections.abc import Sequence

_STEP_SAMPLES = 512
_ENTER_PROBABILITY = 0.5
_LEAVE_PROBABILITY = 0.35
_LEAST_SILENCE_SAMPLES = 1_600
_LEAST_SPEECH_SAMPLES = 4_000
_PAD_SAMPLES = 480


def speech_share(probabilities: Sequence[float], samples: int) -> float:
    """Return the share of `samples` samples that is speech, 0 to 1."""
    return sum(end - start for start, end in speech_spans(probabilities, samples)) / samples


def speech_spans(probabilities: Sequence[float], samples: int) -> list[tuple[int, int]]:
    """Return where speech starts and ends, in samples.

    Speech starts with a step above one threshold, ends with a silence under a lower one that lasts, is forgotten when
    it was short, and is widened a little on both sides. The least silence is longer than two such margins, so that
    spans never meet.

    Args:
        probabilities: one for each 512 samples.
        samples: how many there are in all; the last step may be padded.
    """
    return [
        (max(0, start - _PAD_SAMPLES), min(samples, end + _PAD_SAMPLES))
        for start, end in _raw_spans(probabilities, samples)
        if end - start > _LEAST_SPEECH_SAMPLES
    ]


def _raw_spans(probabilities: Sequence[float], samples: int) -> list[tuple[int, int]]:
    spans = []
    start: int | None = None
    silence: int | None = None
    for step, probability in enumerate(probabilities):
        now = step * _STEP_SAMPLES
        if probability >= _ENTER_PROBABILITY:
            silence = None
            start = now if start is None else start
        elif probability < _LEAVE_PROBABILITY and start is not None:
            silence = now if silence is None else silence
            if now - silence >= _LEAST_SILENCE_SAMPLES:
                spans.append((start, silence))
                start = silence = None
    if start is not None:
        spans.append((start, samples))
    return spans
