"""Read and make decoded audio frames with any number of channels.

PyAV counts the planes of a frame up to a null pointer. With eight or more planar channels, as 7.1 AAC has, there is
none behind the last one, and `to_ndarray` and `from_ndarray` use memory that is not the frame's.
"""

from __future__ import annotations

from typing import Any, Final

import av
import numpy as np
from numpy.typing import NDArray

_PLANAR: Final = {"u8p": np.uint8, "s16p": np.int16, "s32p": np.int32, "fltp": np.float32, "dblp": np.float64}
"""The planar formats, and the type of a sample."""


def samples_of(frame: av.AudioFrame) -> NDArray[Any]:
    """Return the samples of a frame, [channels, N].

    Raises:
        ValueError: the format has no type in NumPy.
    """
    channels, dtype = frame.layout.nb_channels, _PLANAR.get(frame.format.name)
    if dtype is None:
        packed: NDArray[Any] = frame.to_ndarray()
        return packed.reshape(-1, channels).T
    planes = frame.planes[:channels]
    return np.stack([np.frombuffer(memoryview(plane), dtype, frame.samples) for plane in planes])


def with_samples(frame: av.AudioFrame, samples: NDArray[Any]) -> av.AudioFrame:
    """Return a frame of the same format, layout and time that has other samples, [channels, N] with N > 0."""
    same = av.AudioFrame(format=frame.format.name, layout=frame.layout.name, samples=samples.shape[1])
    parts = samples if frame.format.is_planar else samples.T.reshape(1, -1)
    for plane, part in zip(same.planes[: len(parts)], parts, strict=True):
        plane.update(part.tobytes())
    same.sample_rate, same.pts, same.time_base = frame.sample_rate, frame.pts, frame.time_base
    return same
