"""What is heard in a window: the share of its present audio that is silence, speech, music and singing.

Silence comes from the level, speech from the voice activity detector, music and singing from the sound event network.
A moment may be several of them: a song is music and singing.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from triptych.models.prediction import PredictedLabel
from triptych.models.pretrained.sound_events import CLASSES, STEP_SAMPLES

SILENCE: Final = "silence"
SPEECH: Final = "speech"
MUSIC: Final = "music"
SINGING: Final = "singing"

_SILENT_DBFS: Final = -60.0
"""Level up to which audio is silent: the limit from which the flag `silent` of technical quality begins."""
_BLOCK_SAMPLES: Final = 10 * STEP_SAMPLES
"""The level is measured over 100 ms."""
_LEAST_PROBABILITY: Final = {MUSIC: 0.8, SINGING: 0.7}
"""From which on a step counts. With the network's own default of 0.5, hums, sirens and horns are music more often:
`docs/seen-and-heard.md` has the measurements."""
_SMOOTHED_STEPS: Final = 5
_LEAST_SHARE: Final = 0.05
"""Smaller shares are left out: a window of 2 s with less than 100 ms of music has none."""
_DIGITS: Final = 4


def heard_sounds(
    audio: NDArray[np.float32], speech_share: float | None, probabilities: NDArray[np.float32]
) -> tuple[PredictedLabel, ...]:
    """Return the sounds of a window and their share of its audio, largest first. Pure.

    Args:
        audio: the present samples, float32 [S] at 16 kHz, at least one.
        speech_share: the share of speech by the voice activity detector; None if it did not run.
        probabilities: of `CLASSES` for each step, float32 [F, 3]; F may be 0.
    """
    silent = _silent_blocks(audio)
    shares = {SILENCE: float(silent.mean())}
    if speech_share is not None:
        shares[SPEECH] = speech_share
    # A step that begins in a silent block is not counted: the network has no opinion of its own about silence.
    blocks = np.minimum(np.arange(len(probabilities)) * STEP_SAMPLES // _BLOCK_SAMPLES, len(silent) - 1)
    audible = ~silent[blocks]
    for label, least in _LEAST_PROBABILITY.items():
        steps = (_smoothed(probabilities[:, CLASSES.index(label)]) >= least) & audible
        shares[label] = float(steps.mean()) if steps.size else 0.0
    heard = [PredictedLabel(label, round(share, _DIGITS)) for label, share in shares.items() if share >= _LEAST_SHARE]
    return tuple(sorted(heard, key=lambda each: -each.score))


def _silent_blocks(audio: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return which blocks of 100 ms are silent, bool [ceil(S / 1600)]. The last one may be shorter."""
    starts = np.arange(0, audio.size, _BLOCK_SAMPLES)
    energy = np.add.reduceat(np.square(audio, dtype=np.float64), starts)
    power = energy / np.diff(np.append(starts, audio.size))
    return np.asarray(power <= 10 ** (_SILENT_DBFS / 10))


def _smoothed(values: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the mean of each value [F] and its neighbours, five in all; fewer at the ends."""
    kernel = np.ones(_SMOOTHED_STEPS)
    if not values.size:
        return np.zeros(0)
    edge = _SMOOTHED_STEPS // 2
    sums = np.convolve(values, kernel)[edge : edge + values.size]
    counts = np.convolve(np.ones(values.size), kernel)[edge : edge + values.size]
    return np.asarray(sums / counts)
