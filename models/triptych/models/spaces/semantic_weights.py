"""The trained part of the semantic space: a file of the package. `triptych space` trains it (docs/spaces.md)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from triptych.files import replacing_file

SPACE: Final = "semantic-1"
"""Name of the space, with its version. It must change with any weight of the space."""
SEMANTIC_FILE: Final = Path(__file__).with_name("semantic.safetensors")
_HALF: Final = ("feature_directions", "anchors", "projection", "label_vectors")
_SOUNDS: Final = "sounds"
_ABOUT: Final = "about"


@dataclass(frozen=True, slots=True)
class SemanticWeights:
    """What turns the outputs of the pretrained encoders into vectors of the space.

    Attributes:
        feature_mean: float32 [1280], mean of the normalised square roots of picture features.
        feature_directions: float32 [1280, R], the main directions of these.
        anchors: float32 [A, R], captioned pictures in these directions.
        projection: float32 [A, 512], from the similarities to the anchors to the space.
        label_vectors: float32 [1000, 512], the names of the ImageNet labels, each of length 1.
        text_mean: float32 [512], mean of sentence vectors over languages.
        language_directions: float32 [L, 512], orthonormal: in these, the mean sentence vectors of languages differ.
        sound_vectors: float32 [S, 512], the names of sounds, each of length 1.
        sounds: the labels of the sounds.
        about: what the weights were trained on, and how.
    """

    feature_mean: Tensor
    feature_directions: Tensor
    anchors: Tensor
    projection: Tensor
    label_vectors: Tensor
    text_mean: Tensor
    language_directions: Tensor
    sound_vectors: Tensor
    sounds: tuple[str, ...]
    about: Mapping[str, str]

    def tensors(self) -> dict[str, Tensor]:
        """Return the tensors by name."""
        return {name: getattr(self, name) for name in self.__slots__ if name not in (_SOUNDS, _ABOUT)}

    def rounded(self) -> SemanticWeights:
        """Return the weights as they are after `save` and `load`: the large tensors in half precision."""
        tensors = {name: one.half().float() if name in _HALF else one for name, one in self.tensors().items()}
        return SemanticWeights(**tensors, sounds=self.sounds, about=self.about)

    def save(self, path: Path) -> None:
        """Write the file; the large tensors in half precision."""
        tensors = {name: (one.half() if name in _HALF else one).contiguous() for name, one in self.tensors().items()}
        with replacing_file(path) as partial:
            save_file(tensors, partial, {**self.about, _SOUNDS: json.dumps(self.sounds)})


def load_semantic_weights(path: Path = SEMANTIC_FILE) -> SemanticWeights:
    """Read the weights, on the CPU.

    Raises:
        OSError: the file cannot be read.
    """
    with safe_open(path, framework="pt") as stored:
        about = dict(stored.metadata())
        tensors = {name: stored.get_tensor(name).to(torch.float32) for name in stored.keys()}  # noqa: SIM118 - not a dict
    return SemanticWeights(**tensors, sounds=tuple(json.loads(about.pop(_SOUNDS))), about=about)


def semantic_sha256() -> str:
    """Return the checksum of the file of the package."""
    return hashlib.sha256(SEMANTIC_FILE.read_bytes()).hexdigest()
