"""Multimodal models of the library sentence-transformers, such as Qwen3-VL-Embedding: pictures and texts."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from triptych.models.foundation.encoders.joint_encoder import EmbeddedModality, unit_vectors, useful_side
from triptych.models.foundation.files.libraries import (
    LOAD_ERRORS,
    first_line,
    foundation_library,
    load_pretrained_model,
)
from triptych.models.foundation.files.model_files import SENTENCE_TRANSFORMERS_CONFIG, ModelFiles
from triptych.schemas.errors import UsageError

SENTENCE_TRANSFORMERS: Final = "sentence_transformers"
_MODULES: Final = frozenset({"Transformer", "CLIPModel", "Pooling", "Dense", "LayerNorm", "Normalize"})
_TRANSFORMERS: Final = frozenset({"Transformer", "CLIPModel"})
_CLASS: Final = re.compile(r"sentence_transformers(\.[a-zA-Z_]+)+")
_TRANSFORMER_CONFIG: Final = "sentence_bert_config.json"
_FEATURES: Final = "feature-extraction"
_PICTURES_AT_ONCE: Final = 8
_LARGEST_SIDE: Final = 768
"""Models that take pictures of any size need time in proportion to the number of pixels."""


class SentenceTransformersPictures:
    """Embed pictures and texts with a model of sentence-transformers, its own preprocessing and its own instructions.

    Args:
        files: the files of the model, with `modules.json`.
        device: the device to run on.
    """

    modality: EmbeddedModality = "video"

    def __init__(self, files: ModelFiles, device: torch.device) -> None:
        transformer = replace(files, folder=files.folder / _transformer_path(files))
        # Loaded for its checks, and dropped: sentence-transformers fills weights that are missing with random numbers.
        load_pretrained_model("AutoModel", transformer)
        try:
            self.network = foundation_library("sentence_transformers").SentenceTransformer(
                str(files.folder),
                device=str(device),
                local_files_only=True,
                trust_remote_code=False,
                model_kwargs={"weights_only": True, "dtype": torch.float32},
            )
        except LOAD_ERRORS as error:
            reason = first_line(error)
            raise UsageError(f"{files.source}: sentence-transformers cannot load it: {reason}") from error
        if not (self.network.supports("image") and self.network.supports("text")):
            known = ", ".join(map(str, self.network.modalities))
            raise UsageError(f"{files.source}: expected a model of pictures and texts, got one of: {known}")
        self.network.eval().requires_grad_(requires_grad=False)
        self.max_side = _max_side(self.network.processor)
        self._control_tokens = _control_tokens(self.network.tokenizer)
        self._to_picture = foundation_library("PIL.Image").fromarray
        self.dimensions = int(self.embed_texts(["a"]).shape[1])

    def embed_texts(self, texts: Sequence[str]) -> Tensor:
        """Return a vector of length 1 for each text that asks, float32 [N, D].

        The model's instruction for queries is used. A long text is cut off. Control tokens in a text are read as
        spaces.
        """
        return self._embedded(self.network.encode_query, self._as_texts(texts))

    def embed_words(self, texts: Sequence[str]) -> Tensor:
        """Return a vector of length 1 for each text that is asked for, with the instruction for documents."""
        return self._embedded(self.network.encode_document, self._as_texts(texts))

    def embed_pictures(self, pictures: Sequence[NDArray[np.uint8]]) -> Tensor:
        """Return a vector of length 1 for each RGB picture uint8 [H, W, 3], float32 [N, D]."""
        return self._embedded(
            self.network.encode_document, [{"image": self._to_picture(picture)} for picture in pictures]
        )

    def _as_texts(self, texts: Sequence[str]) -> list[dict[str, str]]:
        # A bare string that looks like the address or the path of a picture would be fetched, and words of a feed may
        # contain the token that stands for a picture, of which there is none.
        return [{"text": self._control_tokens.sub(" ", text)} for text in texts]

    def _embedded(self, encode: Any, inputs: Sequence[Mapping[str, Any]]) -> Tensor:  # noqa: ANN401 - untyped library
        vectors = encode(list(inputs), batch_size=_PICTURES_AT_ONCE, show_progress_bar=False, convert_to_tensor=True)
        return unit_vectors(vectors.clone())  # a copy: what was computed in inference mode cannot be trained on


def _transformer_path(files: ModelFiles) -> str:
    """Return the folder of the transformer in the folder of the model, after looking at each module.

    The library imports whatever class a local folder names, so only its own classes are accepted.

    Raises:
        UsageError: `modules.json` names other classes, or no transformer that gives features.
    """
    path = files.folder / SENTENCE_TRANSFORMERS_CONFIG
    try:
        modules = {str(each["path"]): str(each["type"]) for each in json.loads(path.read_bytes())}
    except (ValueError, TypeError, KeyError) as error:
        raise UsageError(f"{path}: expected a list of modules, each with path and type: {error}") from error
    for name in modules.values():
        if not _CLASS.fullmatch(name) or name.rpartition(".")[2] not in _MODULES:
            raise UsageError(
                f"{path}: expected modules of sentence-transformers ({', '.join(sorted(_MODULES))}), got {name}; "
                "code that a folder brings is never run"
            )
    found = [where for where, name in modules.items() if name.rpartition(".")[2] in _TRANSFORMERS]
    if len(found) != 1:
        raise UsageError(f"{path}: expected one module {' or '.join(sorted(_TRANSFORMERS))}, got {len(found)}")
    _require_features(files, found[0])
    return found[0]


def _require_features(files: ModelFiles, where: str) -> None:
    path = files.folder / where / _TRANSFORMER_CONFIG
    config = json.loads(path.read_bytes()) if path.exists() else {}
    task = config.get("transformer_task", _FEATURES)
    if task != _FEATURES:
        raise UsageError(f"{path}: expected transformer_task {_FEATURES}, got {task}")


def _max_side(processor: Any) -> int:  # noqa: ANN401 - a processor of transformers
    """Return the longer side of a picture, in pixels, from which a processor makes its input."""
    pictures = getattr(processor, "image_processor", processor)
    # A side, or, where pictures of any size are taken, a number of pixels
    sizes = [int(size) for size in dict(pictures.size).values() if size is not None]
    return min(useful_side(max(sizes)), _LARGEST_SIDE) if sizes else _LARGEST_SIDE


def _control_tokens(tokenizer: Any) -> re.Pattern[str]:  # noqa: ANN401 - a tokenizer of transformers
    """Return what matches the tokens of a tokenizer that stand for no text."""
    special = {str(token) for token in tokenizer.all_special_tokens}
    special |= {str(token) for token in tokenizer.added_tokens_decoder.values() if token.special}
    # Some pad with a character, such as "!"
    long = sorted((token for token in special if len(token) > 1), key=len, reverse=True)
    return re.compile("|".join(map(re.escape, long)) or r"(?!)")
