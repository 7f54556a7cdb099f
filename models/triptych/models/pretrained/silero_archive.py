"""Read the weights of Silero VAD from the TorchScript archive in which they are published.

The archive is a zip file of raw tensors, code and a pickle. Neither code nor pickle is read: the archive is pinned by
its checksum, so the order of its tensors is known. (The safetensors file in the same wheel contains weights of another
training run, which give other results for the same audio.)
"""

from __future__ import annotations

import io
import zipfile

import torch
from torch import Tensor

_FIRST_INDEX = 2
_SHAPES = {
    "stft_conv.weight": (258, 1, 256),
    "conv1.weight": (128, 129, 3),
    "conv1.bias": (128,),
    "conv2.weight": (64, 128, 3),
    "conv2.bias": (64,),
    "conv3.weight": (64, 64, 3),
    "conv3.bias": (64,),
    "conv4.weight": (128, 64, 3),
    "conv4.bias": (128,),
    "lstm_cell.weight_ih": (512, 128),
    "lstm_cell.weight_hh": (512, 128),
    "lstm_cell.bias_ih": (512,),
    "lstm_cell.bias_hh": (512,),
    "final_conv.weight": (1, 128, 1),
    "final_conv.bias": (1,),
}
"""Names and shapes of the tensors of the 16 kHz network, in their order in the archive, starting at `data/2`."""


def read_archive(content: bytes) -> dict[str, Tensor]:
    """Return the weights of the 16 kHz network by name, float32 in the shapes of `_SHAPES`."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        root = archive.namelist()[0].split("/")[0]
        return {
            name: torch.frombuffer(bytearray(archive.read(f"{root}/data/{index}")), dtype=torch.float32).reshape(shape)
            for index, (name, shape) in enumerate(_SHAPES.items(), _FIRST_INDEX)
        }
