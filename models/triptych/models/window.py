"""A window as a model receives it: decoded, resized and resampled, in plain numpy arrays.

No torch here, so that the threads that prepare windows and the tests of the flow need none.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class PreparedCue:
    """Hold one subtitle cue that overlaps the window: its whole text, its own times, and its language if known.

    `generated` says whether a machine has heard it, `generated_by` which.
    """

    text: str
    start_ns: int
    end_ns: int
    language: str | None = None
    generated: bool = False
    generated_by: str | None = None


@dataclass(frozen=True, slots=True)
class PreparedWindow:
    """Hold what a model sees of one window. A modality that is missing is empty, never filled with zeros.

    Attributes:
        stream: the feed that the window belongs to.
        start_ns: first instant of the window, event time.
        end_ns: first instant after the window, event time.
        frames_hwc_u8: RGB pictures of the model's input size, in time order, at most as many as the model takes.
        frame_times_ns: the event time of each picture.
        audio_f32: mono samples of the whole window, in [-1, 1]; zeros where there is no audio.
        audio_present: half-open ranges of samples that hold real audio, in order, apart from each other.
        cues: the cues that overlap the window, in order of time.
        features: by modality, float32 [T, D]: what somebody else has computed of it, in time order. Only data sets of
            features have any, and then nothing else of that modality.
    """

    stream: str
    start_ns: int
    end_ns: int
    frames_hwc_u8: tuple[NDArray[np.uint8], ...]
    frame_times_ns: tuple[int, ...]
    audio_f32: NDArray[np.float32]
    audio_present: tuple[tuple[int, int], ...]
    cues: tuple[PreparedCue, ...]
    features: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        """Say whether no modality has anything in this window."""
        return not (self.frames_hwc_u8 or self.audio_present or self.cues or any(map(len, self.features.values())))
