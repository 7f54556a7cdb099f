"""Sound cut into utterances at the pauses between words, for a machine that turns speech into text. Pure.

An utterance is what is understood at one go: long enough to have a context, short enough that its text does not come
too late. Silence belongs to none, and costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from triptych.producers.media.audio import JITTER_NS, NS_PER_SAMPLE, SAMPLE_RATE_HZ, PcmChunk, Samples

STEP_SAMPLES: Final = 512
"""The step of the voice detector: 32 ms."""

STEP_NS: Final = STEP_SAMPLES * NS_PER_SAMPLE
MAX_STEPS: Final = 7 * SAMPLE_RATE_HZ // STEP_SAMPLES
"""How long an utterance may be: 7 s, so that with what its text takes no track is silent for 10 s and called idle."""

_ENOUGH_STEPS: Final = 4 * SAMPLE_RATE_HZ // STEP_SAMPLES
_SHORT_PAUSE_STEPS: Final = 10
"""What ends an utterance that is long enough: a third of a second."""

_LONG_PAUSE_STEPS: Final = 46
"""What ends every utterance: a second and a half."""

MARGIN_STEPS: Final = 8
"""What is kept before the first and after the last of the speech: a quarter of a second."""

_SPEECH: Final = 0.5
_SILENCE: Final = 0.35
"""Scores of the voice detector, as in its own rule: between the two things stay as they are."""

_LEAST_SPEECH_STEPS: Final = 3
"""Less speech than a tenth of a second is a click."""

_WARM_STEPS: Final = 16
"""How much of the sound before is shown to the detector again, since it begins each time anew."""

Scores = Sequence[float]
Detector = Callable[[NDArray[np.float32]], Scores]
"""From samples in [-1, 1] to the probability of speech in each step of them."""


@dataclass(frozen=True, slots=True)
class Utterance:
    """Speech with its margins; `start_ns` is the session time of the first sample."""

    start_ns: int
    samples: Samples

    @property
    def end_ns(self) -> int:
        """The session time after the last sample."""
        return self.start_ns + len(self.samples) * NS_PER_SAMPLE


class UtteranceCutter:
    """Cut the sound of one pass.

    Attributes:
        heard_ns: up to where sound has been taken in.
        known_ns: whatever speech begins before has been yielded.
    """

    def __init__(self, detector: Detector, base_ns: int) -> None:
        self._detector = detector
        self.read_ns = base_ns
        self._start_ns = base_ns
        self._samples: Samples = np.zeros(0, np.int16)
        self._before: Samples = np.zeros(0, np.int16)
        self._scores: list[float] = []
        self._speaking = False
        self._quiet = 0

    @property
    def watermark_ns(self) -> int:
        """Before which moment no utterance will begin that was not yielded."""
        return self._start_ns

    def feed(self, sound: PcmChunk) -> Iterator[Utterance]:
        """Take sound; yield the utterances that it ends. A gap ends one too."""
        if abs(sound.start_ns - self.read_ns) > JITTER_NS:
            yield from self.skip_to(sound.start_ns)
        self.read_ns = sound.end_ns
        self._samples = np.concatenate([self._samples, sound.samples])
        fresh = len(self._samples) // STEP_SAMPLES - len(self._scores)
        for score in self._scored(fresh):
            self._scores.append(score)
            yield from self._step(score)

    def skip_to(self, time_ns: int) -> Iterator[Utterance]:
        """Yield what is open: there is no sound up to this moment, or the pass is over."""
        if self._speaking:
            surplus = self._quiet - MARGIN_STEPS
            yield from self._cut(len(self._scores) - surplus if surplus > 0 else len(self._scores) + 1)  # to the end
        self.read_ns = max(self.read_ns, time_ns)
        self._start_ns = self.read_ns
        self._samples = self._before = np.zeros(0, np.int16)
        self._scores, self._speaking, self._quiet = [], False, 0

    def _scored(self, count: int) -> Scores:
        """Return the scores of so many steps at the end, the detector being warmed with what came before them."""
        if not count:
            return ()
        done = len(self._scores) * STEP_SAMPLES
        lead = np.concatenate([self._before, self._samples[:done]])[-_WARM_STEPS * STEP_SAMPLES :]
        shown = np.concatenate([lead, self._samples[done : done + count * STEP_SAMPLES]])
        return self._detector(shown.astype(np.float32) / np.float32(32_768))[-count:]

    def _step(self, score: float) -> Iterator[Utterance]:
        """Go one step on, with the score of the step that is the last in `_scores`."""
        if score >= _SPEECH:
            self._speaking, self._quiet = True, 0
        elif score < _SILENCE or self._quiet:
            self._quiet += 1
        steps = len(self._scores)
        if not self._speaking:
            self._drop(steps - MARGIN_STEPS)
        elif self._quiet >= (_SHORT_PAUSE_STEPS if steps >= _ENOUGH_STEPS else _LONG_PAUSE_STEPS):
            yield from self._cut(steps - self._quiet + MARGIN_STEPS)
            self._speaking = False
            self._drop(len(self._scores) - MARGIN_STEPS)
        elif steps >= MAX_STEPS:
            last_third = 2 * MAX_STEPS // 3
            calmest = last_third + int(np.argmin(self._scores[last_third:]))
            yield from self._cut(calmest)
            self._quiet = min(self._quiet, len(self._scores))
            self._speaking = any(score >= _SPEECH for score in self._scores)

    def _cut(self, steps: int) -> Iterator[Utterance]:
        """Take so many steps off the beginning as an utterance, if there is speech in them."""
        speech_steps = sum(score >= _SPEECH for score in self._scores[:steps])
        utterance = Utterance(self._start_ns, self._samples[: steps * STEP_SAMPLES])
        self._drop(steps)
        if speech_steps >= _LEAST_SPEECH_STEPS:
            yield utterance

    def _drop(self, steps: int) -> None:
        """Forget so many steps at the beginning, but for what the detector is warmed with."""
        if steps <= 0:
            return
        count = min(steps * STEP_SAMPLES, len(self._samples))
        self._before = np.concatenate([self._before, self._samples[:count]])[-_WARM_STEPS * STEP_SAMPLES :]
        self._samples = self._samples[count:]
        self._scores = self._scores[steps:]
        self._start_ns += count * NS_PER_SAMPLE
