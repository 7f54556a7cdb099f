"""Measures the technical quality of a window on its decoded frames and audio. Pure; no network is involved.

Where an operator knows a measure from FFmpeg, it has the same meaning: `dark_share` is the ratio of `blackdetect` (a
pixel is dark below 10 % luma), `change` the mean absolute difference of `freezedetect`, `level_dbfs` the level that
`silencedetect` compares. `sharpness` is the energy of the Laplacian (Pertuz, Puig and Garcia: Analysis of focus measure
operators, 2013), divided by the contrast so that a dim scene is not called blurred. `layout` is a difference hash.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import reduce
from itertools import pairwise
from statistics import median
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from triptych.models.window import PreparedWindow
from triptych.schemas.results import Quality

Luma = NDArray[np.uint8]

_FULL: Final = 255
_DARK: Final = 25
"""The brightest dark luma: below 10 % of full scale."""
_LEAST_CONTRAST: Final = 4.0
"""Standard deviation of luma, of 255, below which a picture has no details whose sharpness could be measured."""
_HASH_SIDE: Final = 8
_FULL_SCALE: Final = 0.985
_RUN: Final = 3
"""How many consecutive samples at full scale count as clipped. A single one may be a peak that just fits."""
_LEAST_POWER: Final = 1e-12
_DIGITS: Final = 5


def measure_quality(window: PreparedWindow) -> Quality | None:
    """Return the measures of a window, without flags; None if it has neither frames nor audio.

    Args:
        window: `frames_hwc_u8` are RGB, uint8 `[H, W, 3]`; `audio_f32` is float32 `[S]` from -1 to 1.
    """
    lumas = [_luma(frame) for frame in window.frames_hwc_u8]
    heard = [window.audio_f32[first:last] for first, last in window.audio_present]
    if not lumas and not heard:
        return None
    measures = _of_frames(lumas) if lumas else {}
    measures |= _of_audio(heard[0] if len(heard) == 1 else np.concatenate(heard)) if heard else {}
    return Quality.model_validate(measures)


def _luma(frame: NDArray[np.uint8]) -> Luma:
    return np.asarray(cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2GRAY), np.uint8)


def _of_frames(lumas: Sequence[Luma]) -> dict[str, object]:
    """Return the measures of frames, each uint8 `[H, W]`."""
    pixels = lumas[0].size
    changes = [cv2.norm(earlier, later, cv2.NORM_L1) / pixels / _FULL for earlier, later in pairwise(lumas)]
    sharp = [value for luma in lumas if (value := _sharpness(luma)) is not None]
    return {
        "brightness": _rounded(sum(cv2.mean(luma)[0] for luma in lumas) / len(lumas) / _FULL),
        "dark_share": _rounded(min(cv2.countNonZero(cv2.inRange(luma, 0, _DARK)) for luma in lumas) / pixels),
        "change": _rounded(max(changes)) if changes else None,
        "sharpness": _rounded(median(sharp)) if sharp else None,
        "layout": _difference_hash(lumas),
    }


def _sharpness(luma: Luma) -> float | None:
    contrast = _deviation(luma)
    if contrast < _LEAST_CONTRAST:
        return None
    return _deviation(cv2.Laplacian(luma, cv2.CV_16S)) / contrast


def _deviation(values: NDArray[Any]) -> float:
    return float(cv2.meanStdDev(values)[1][0, 0])


def _difference_hash(lumas: Sequence[Luma]) -> str:
    """Return 64 bits of the mean frame, reduced to 8 rows of 9 cells: is a cell brighter than its left neighbour?"""
    size = (_HASH_SIDE + 1, _HASH_SIDE)
    reduced = [cv2.resize(luma.astype(np.float32), size, interpolation=cv2.INTER_AREA) for luma in lumas]
    cells = reduce(np.add, reduced)
    return bytes(np.packbits(cells[:, 1:] > cells[:, :-1])).hex()


def _of_audio(samples: NDArray[np.float32]) -> dict[str, object]:
    """Return the measures of audio, float32 `[S]`, at least one sample."""
    power = cv2.norm(samples, cv2.NORM_L2SQR) / samples.size
    return {
        "level_dbfs": _rounded(10 * math.log10(max(power, _LEAST_POWER)), 1),
        "clipped_share": _rounded(_clipped(samples) / samples.size),
    }


def _clipped(samples: NDArray[np.float32]) -> int:
    """Return how many runs of samples are at full scale; of less than a run's length, how many samples."""
    if cv2.norm(samples, cv2.NORM_INF) < _FULL_SCALE:
        return 0
    full = np.abs(samples) >= _FULL_SCALE
    runs = np.lib.stride_tricks.sliding_window_view(full, _RUN).all(axis=1) if full.size >= _RUN else full
    return int(runs.sum())


def _rounded(value: float, digits: int = _DIGITS) -> float:
    return round(value, digits)
