"""Encode samples as a WAV file in memory: 16-bit mono, with the plain 44-byte header that every reader accepts."""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray

_HEADER = struct.Struct("<4sI4s4sIHHIIHH4sI")
_PCM = 1
_BYTES_PER_SAMPLE = 2


def to_wav(samples: NDArray[np.int16], sample_rate_hz: int) -> bytes:
    """Return the bytes of a WAV file.

    Args:
        samples: int16 [N].
        sample_rate_hz: the sample rate.
    """
    data = samples.astype("<i2", copy=False).tobytes()
    header = _HEADER.pack(
        b"RIFF", _HEADER.size - 8 + len(data), b"WAVE", b"fmt ", 16, _PCM, 1, sample_rate_hz,
        sample_rate_hz * _BYTES_PER_SAMPLE, _BYTES_PER_SAMPLE, 8 * _BYTES_PER_SAMPLE, b"data", len(data),
    )  # fmt: skip
    return header + data
