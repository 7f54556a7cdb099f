"""The sentence encoder is loaded once, however many use it."""

from __future__ import annotations

import gc
from pathlib import Path
from weakref import WeakValueDictionary

import pytest
import torch

from triptych.models.pretrained import sentence_loading
from triptych.models.pretrained.sentence_loading import load_sentence_encoder, load_sentence_tokenizer
from triptych.models.pretrained.weights import WeightFile
from triptych.models.spaces.semantic_texts import build_semantic_texts
from triptych.models.spaces.semantic_weights import load_semantic_weights

IDS = torch.tensor([1, 500, 600, 2])


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the names of the weights that are read from now on. What other tests have loaded is not shared."""
    monkeypatch.setattr(sentence_loading, "_encoders", WeakValueDictionary())
    monkeypatch.setattr(sentence_loading, "_tokenizers", WeakValueDictionary())
    names: list[str] = []
    load = sentence_loading.load_weights

    def noted(weight: WeightFile, folder: Path) -> dict[str, torch.Tensor]:
        names.append(weight.name)
        return load(weight, folder)

    monkeypatch.setattr(sentence_loading, "load_weights", noted)
    return names


def test_the_model_and_the_texts_of_prompts_share_the_weights(weights_folder: Path, loaded: list[str]) -> None:
    """The same tensors, and the same vectors."""
    first = load_sentence_encoder(weights_folder)
    texts = build_semantic_texts(load_semantic_weights(), weights_folder, torch.device("cpu"))
    again = load_sentence_encoder(weights_folder)
    tokenizer = load_sentence_tokenizer(weights_folder)

    assert sorted(loaded) == ["sentence-encoder", "sentence-pieces"]
    assert again is not first
    assert [tensor.data_ptr() for tensor in again.buffers()] == [tensor.data_ptr() for tensor in first.buffers()]
    torch.testing.assert_close(again.encode(IDS), first.encode(IDS), rtol=0, atol=0)
    assert tokenizer is load_sentence_tokenizer(weights_folder)
    assert texts.embed_texts(["a dog"]).shape == (1, 512)


def test_an_encoder_that_was_moved_away_is_not_shared(weights_folder: Path, loaded: list[str]) -> None:
    """The next one is read from the file, and computes the same."""
    first = load_sentence_encoder(weights_folder)
    expected = first.encode(IDS)
    first.to("meta")
    second = load_sentence_encoder(weights_folder)
    assert loaded.count("sentence-encoder") == 2
    torch.testing.assert_close(second.encode(IDS), expected, rtol=0, atol=0)


def test_moving_one_encoder_does_not_affect_the_others(weights_folder: Path) -> None:
    """Its tensors are replaced, not changed."""
    first, second = load_sentence_encoder(weights_folder), load_sentence_encoder(weights_folder)
    expected = first.encode(IDS)
    second.to("meta")
    torch.testing.assert_close(first.encode(IDS), expected, rtol=0, atol=0)


def test_nothing_is_kept_once_nobody_uses_it(weights_folder: Path, loaded: list[str]) -> None:
    """The memory of a worker that was closed is free."""
    encoder = load_sentence_encoder(weights_folder)
    del encoder
    gc.collect()
    load_sentence_encoder(weights_folder)
    assert loaded.count("sentence-encoder") == 2
