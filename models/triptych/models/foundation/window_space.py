"""Joint spaces of windows, made of dual encoders: one of pictures and texts, one of sounds and texts."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from triptych.models.foundation.encoders.joint_encoder import EmbeddedModality, PictureEncoder, SoundEncoder
from triptych.models.foundation.encoders.sound_parts import sound_parts
from triptych.models.foundation.files.model_files import ModelFiles
from triptych.models.prediction import WindowVectors
from triptych.models.window import PreparedWindow

_WORDS_PER_WINDOW: Final = 200
"""More words than any text encoder here reads; the rest would be tokenized in vain."""


class PictureSpace:
    """A space of pictures and texts. Several threads may call it; one call runs at a time.

    The vector of a window is that of its pictures, the mean of theirs: in these spaces texts and pictures of the same
    content lie apart, so that a mean of both would lie near neither. A window without pictures has that of its words.

    Args:
        encoder: the encoder of pictures and texts.
        files: the files that the encoder was loaded from.
    """

    modality: EmbeddedModality = "video"

    def __init__(self, encoder: PictureEncoder, files: ModelFiles) -> None:
        self.encoder = encoder
        self.name = files.short_name
        self.sha256 = files.sha256
        self.dimensions = encoder.dimensions
        self._lock = Lock()

    def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return a vector of length 1 for each text, float32 [N, D]."""
        with self._lock:
            return _array(self.encoder.embed_texts(texts)) if texts else np.zeros((0, self.dimensions), np.float32)

    def embed_windows(self, windows: Sequence[PreparedWindow]) -> list[WindowVectors | None]:
        """Return the vectors of each window, in order; None for one without pictures and words.

        The pictures are those for detectors, because they are larger and keep the proportions, unless there are fewer
        of them than of the model's frames.
        """
        shown = [_pictures(window) for window in windows]
        said = [" ".join(" ".join(cue.text for cue in window.cues).split()[:_WORDS_PER_WINDOW]) for window in windows]
        pictures = [picture for each in shown for picture in each]
        texts = [text for text in said if text]
        with self._lock:
            picture_rows = iter(_array(self.encoder.embed_pictures(pictures))) if pictures else iter(())
            text_rows = iter(_array(self.encoder.embed_words(texts))) if texts else iter(())
        return [
            self._vectors([next(picture_rows) for _ in each], next(text_rows) if text else None, _times_ns(window))
            for window, each, text in zip(windows, shown, said, strict=True)
        ]

    def _vectors(
        self, pictures: Sequence[NDArray[np.float32]], words: NDArray[np.float32] | None, times_ns: tuple[int, ...]
    ) -> WindowVectors | None:
        frames = np.stack(pictures) if pictures else None
        video = None if frames is None else unit_mean(frames)
        fused = words if video is None else video
        if fused is None:
            return None
        return WindowVectors(self.name, fused, video=video, subtitles=words, frames=frames, frame_times_ns=times_ns)


class SoundSpace:
    """A space of sounds and texts. Sounds longer than the encoder hears are split evenly; their vectors are averaged.

    Several threads may call it; one call runs at a time.

    Args:
        encoder: the encoder of sounds and texts.
        files: the files that the encoder was loaded from.
        window_rate_hz: sample rate of the windows' audio.
    """

    modality: EmbeddedModality = "audio"

    def __init__(self, encoder: SoundEncoder, files: ModelFiles, *, window_rate_hz: int) -> None:
        self.encoder = encoder
        self.name = files.short_name
        self.sha256 = files.sha256
        self.dimensions = encoder.dimensions
        self._window_rate_hz = window_rate_hz
        self._lock = Lock()

    def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return a vector of length 1 for each text, float32 [N, D]."""
        with self._lock:
            return _array(self.encoder.embed_texts(texts)) if texts else np.zeros((0, self.dimensions), np.float32)

    def embed_windows(self, windows: Sequence[PreparedWindow]) -> list[WindowVectors | None]:
        """Return the vectors of each window, in order; None for one without audio."""
        heard = [sound_parts(window, self._window_rate_hz, self.encoder) for window in windows]
        sounds = [part for parts in heard for part in parts]
        with self._lock:
            rows = iter(_array(self.encoder.embed_sounds(sounds))) if sounds else iter(())
        own = [[next(rows) for _ in parts] for parts in heard]
        means = [unit_mean(np.stack(vectors)) if vectors else None for vectors in own]
        return [None if mean is None else WindowVectors(self.name, mean, audio=mean) for mean in means]


def unit_mean(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the mean of vectors float32 [N, D], scaled to length 1: float32 [D]."""
    return _array(functional.normalize(torch.from_numpy(vectors).mean(0), dim=-1))


def _sees_pictures(window: PreparedWindow) -> bool:
    return bool(window.pictures) and len(window.pictures) >= len(window.frames_hwc_u8)


def _pictures(window: PreparedWindow) -> tuple[NDArray[np.uint8], ...]:
    if _sees_pictures(window):
        return tuple(picture.rgb_hwc_u8 for picture in window.pictures)
    return window.frames_hwc_u8


def _times_ns(window: PreparedWindow) -> tuple[int, ...]:
    return tuple(picture.time_ns for picture in window.pictures) if _sees_pictures(window) else window.frame_times_ns


def _array(vectors: Tensor) -> NDArray[np.float32]:
    array: NDArray[np.float32] = vectors.cpu().numpy()
    return array
