"""The audio of a window as an encoder hears it: without gaps, at its sample rate, in parts that are short enough."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from triptych.models.window import PreparedWindow


class Hearing(Protocol):
    """What an encoder of sounds can hear."""

    @property
    def sample_rate_hz(self) -> int:
        """Return the sample rate that it hears."""

    @property
    def max_samples(self) -> int:
        """Return the length of the longest sound that it hears as a whole."""


def sound_parts(window: PreparedWindow, rate_hz: int, hearing: Hearing) -> list[NDArray[np.float32]]:
    """Return the present audio of a window, float32 [S] each, at the sample rate of an encoder.

    Audio that is too long is split into parts of equal length, give or take a sample. Nothing is left to chance.

    Args:
        window: the window.
        rate_hz: sample rate of its audio.
        hearing: what the encoder can hear.
    """
    if not window.audio_present:
        return []
    from torchaudio.functional import resample  # type: ignore[import-untyped]  # noqa: PLC0415 - slow to import

    audio = np.concatenate([window.audio_f32[start:end] for start, end in window.audio_present])
    sound: NDArray[np.float32] = resample(torch.from_numpy(audio), rate_hz, hearing.sample_rate_hz).numpy()
    return list(np.array_split(sound, -(-len(sound) // hearing.max_samples)))
