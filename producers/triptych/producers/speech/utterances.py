"""Cut audio into utterances at the pauses in speech, for a speech recogniser. Pure.

An utterance is what the recogniser gets at once: long enough to give context, short enough that its text does not come
too late. Silence belongs to no utterance and costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from triptych.producers.media.audio import JITTER_NS, NS_PER_SAMPLE, SAMPLE_RATE_HZ, PcmChunk, Samples

STEP_SAMPLES: Final = 512
"""The step of the voice activity detector: 32 ms."""

STEP_NS: Final = STEP_SAMPLES * NS_PER_SAMPLE
MAX_STEPS: Final = 7 * SAMPLE_RATE_HZ // STEP_SAMPLES
"""The maximum length of an utterance: 7 s. Including its transcription, no text track is then silent for 10 s."""

_MIN_STEPS: Final = 4 * SAMPLE_RATE_HZ // STEP_SAMPLES
"""The length from which a short pause ends an utterance: 4 s."""
_SHORT_PAUSE_STEPS: Final = 10
"""The pause that ends an utterance of sufficient length: a third of a second."""

_LONG_PAUSE_STEPS: Final = 46
"""The pause that ends every utterance: one and a half seconds."""

MARGIN_STEPS: Final = 8
"""The margin kept before and after the speech: a quarter of a second."""

_SPEECH_SCORE: Final = 0.5
_SILENCE_SCORE: Final = 0.35
"""The detector's own thresholds, with hysteresis: between the two, the state does not change."""

_MIN_SPEECH_STEPS: Final = 3
"""Less speech than this, a tenth of a second, is a click."""

_WARM_UP_STEPS: Final = 16
"""How much of the preceding audio the detector gets again, because it keeps no state between calls."""

Scores = Sequence[float]
Detector = Callable[[NDArray[np.float32]], Scores]
"""A voice activity detector: from samples in [-1, 1], float32 [N], to the probability of speech in each step."""


@dataclass(frozen=True, slots=True)
class Utterance:
    """Speech with its margins, int16 [N] at 16 kHz; `start_ns` is the session time of the first sample."""

    start_ns: int
    samples: Samples

    @property
    def end_ns(self) -> int:
        """The session time after the last sample."""
        return self.start_ns + len(self.samples) * NS_PER_SAMPLE


class UtteranceCutter:
    """Cut the audio of one pass into utterances.

    Attributes:
        read_ns: the session time up to which audio was taken in.
    """

    def __init__(self, detector: Detector, base_ns: int) -> None:
        self._detector = detector
        self.read_ns = base_ns
        self._start_ns = base_ns
        self._samples: Samples = np.zeros(0, np.int16)
        self._previous: Samples = np.zeros(0, np.int16)
        self._scores: list[float] = []
        self._in_speech = False
        self._silent_steps = 0

    @property
    def watermark_ns(self) -> int:
        """The session time before which no further utterance begins."""
        return self._start_ns

    def feed(self, chunk: PcmChunk) -> Iterator[Utterance]:
        """Take audio; yield the utterances that it ends. A gap ends one too."""
        if abs(chunk.start_ns - self.read_ns) > JITTER_NS:
            yield from self.skip_to(chunk.start_ns)
        self.read_ns = chunk.end_ns
        self._samples = np.concatenate([self._samples, chunk.samples])
        new_steps = len(self._samples) // STEP_SAMPLES - len(self._scores)
        for score in self._score(new_steps):
            self._scores.append(score)
            yield from self._step(score)

    def skip_to(self, time_ns: int) -> Iterator[Utterance]:
        """Yield the open utterance, because there is no audio up to this time, or the pass is over."""
        if self._in_speech:
            excess = self._silent_steps - MARGIN_STEPS
            yield from self._cut(len(self._scores) - excess if excess > 0 else len(self._scores) + 1)  # to the end
        self.read_ns = max(self.read_ns, time_ns)
        self._start_ns = self.read_ns
        self._samples = self._previous = np.zeros(0, np.int16)
        self._scores, self._in_speech, self._silent_steps = [], False, 0

    def _score(self, count: int) -> Scores:
        """Return the scores of the next `count` steps."""
        if not count:
            return ()
        done = len(self._scores) * STEP_SAMPLES
        warm_up = np.concatenate([self._previous, self._samples[:done]])[-_WARM_UP_STEPS * STEP_SAMPLES :]
        samples = np.concatenate([warm_up, self._samples[done : done + count * STEP_SAMPLES]])
        return self._detector(samples.astype(np.float32) / np.float32(32_768))[-count:]

    def _step(self, score: float) -> Iterator[Utterance]:
        """Advance by one step, whose score is the last in `_scores`."""
        if score >= _SPEECH_SCORE:
            self._in_speech, self._silent_steps = True, 0
        elif score < _SILENCE_SCORE or self._silent_steps:
            self._silent_steps += 1
        steps = len(self._scores)
        if not self._in_speech:
            self._drop(steps - MARGIN_STEPS)
        elif self._silent_steps >= (_SHORT_PAUSE_STEPS if steps >= _MIN_STEPS else _LONG_PAUSE_STEPS):
            yield from self._cut(steps - self._silent_steps + MARGIN_STEPS)
            self._in_speech = False
            self._drop(len(self._scores) - MARGIN_STEPS)
        elif steps >= MAX_STEPS:
            last_third = 2 * MAX_STEPS // 3
            quietest = last_third + int(np.argmin(self._scores[last_third:]))
            yield from self._cut(quietest)
            self._silent_steps = min(self._silent_steps, len(self._scores))
            self._in_speech = any(score >= _SPEECH_SCORE for score in self._scores)

    def _cut(self, steps: int) -> Iterator[Utterance]:
        """Remove this many steps from the front; yield them as an utterance if they contain speech."""
        speech_steps = sum(score >= _SPEECH_SCORE for score in self._scores[:steps])
        utterance = Utterance(self._start_ns, self._samples[: steps * STEP_SAMPLES])
        self._drop(steps)
        if speech_steps >= _MIN_SPEECH_STEPS:
            yield utterance

    def _drop(self, steps: int) -> None:
        """Remove this many steps from the front, but keep what the detector needs to warm up."""
        if steps <= 0:
            return
        count = min(steps * STEP_SAMPLES, len(self._samples))
        self._previous = np.concatenate([self._previous, self._samples[:count]])[-_WARM_UP_STEPS * STEP_SAMPLES :]
        self._samples = self._samples[count:]
        self._scores = self._scores[steps:]
        self._start_ns += count * NS_PER_SAMPLE
