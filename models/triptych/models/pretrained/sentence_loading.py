"""Load the sentence encoder and its tokenizer once for all users in a process: the model, and the texts of prompts.

The encoder has 79 MB of weights. What is loaded is only remembered while somebody uses it.
"""

from __future__ import annotations

import copy
from pathlib import Path
from threading import Lock
from typing import Final
from weakref import WeakValueDictionary

from triptych.models.pretrained.sentence import SentenceEncoder
from triptych.models.pretrained.tokenizer import SentenceTokenizer
from triptych.models.pretrained.weights import (
    FILE_TENSOR,
    SENTENCE_ENCODER,
    SENTENCE_PIECES,
    WeightFile,
    find_cached,
    load_weights,
)

_Version = tuple[str, int, int]
"""Path, size and modification time of a file."""

_lock: Final = Lock()
_encoders: Final[WeakValueDictionary[_Version, SentenceEncoder]] = WeakValueDictionary()
_tokenizers: Final[WeakValueDictionary[_Version, SentenceTokenizer]] = WeakValueDictionary()


def load_sentence_encoder(weights_folder: Path) -> SentenceEncoder:
    """Return an encoder of its own on the CPU, in evaluation mode. Blocks while the weights are read.

    It shares its tensors with the encoders that were loaded before and are still on the CPU. So nobody may change them
    in place; moving an encoder to another device does not affect the others. Any thread may call this.

    Raises:
        UsageError: the weights were not downloaded.
    """
    with _lock:
        version = _version_of(SENTENCE_ENCODER, weights_folder)
        donor = _encoders.get(version) if version is not None else None
        encoder = None if donor is None else _twin_of(donor)
        if encoder is None:
            encoder = SentenceEncoder(load_weights(SENTENCE_ENCODER, weights_folder)).eval()
        if version is not None:
            _encoders[version] = encoder
        return encoder


def load_sentence_tokenizer(weights_folder: Path) -> SentenceTokenizer:
    """Return the tokenizer, the same for all users. Any thread may call this, and use it.

    Raises:
        UsageError: the weights were not downloaded.
    """
    with _lock:
        version = _version_of(SENTENCE_PIECES, weights_folder)
        tokenizer = _tokenizers.get(version) if version is not None else None
        if tokenizer is None:
            tokenizer = SentenceTokenizer(load_weights(SENTENCE_PIECES, weights_folder)[FILE_TENSOR])
            if version is not None:
                _tokenizers[version] = tokenizer
        return tokenizer


def _version_of(weight: WeightFile, folder: Path) -> _Version | None:
    path = find_cached(weight, folder)
    try:
        stat = path.stat()
    except OSError:  # `load_weights` says what is wrong
        return None
    return str(path), stat.st_size, stat.st_mtime_ns


def _twin_of(donor: SentenceEncoder) -> SentenceEncoder | None:
    """Return an encoder with the same tensors; None if not all of them are on the CPU."""
    shared = {id(tensor): tensor for tensor in donor.buffers()}
    twin = copy.deepcopy(donor, dict(shared))
    # The donor may be moved meanwhile, by the thread that loaded it.
    return twin if all(tensor.is_cpu and id(tensor) in shared for tensor in twin.buffers()) else None
