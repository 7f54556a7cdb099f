"""Frames and words as vectors of the semantic space, on small numbers and on real photographs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from triptych.models.model import Model
from triptych.models.network.parts import Encoded, Features
from triptych.models.spaces.semantic import build_semantic_space
from triptych.models.spaces.semantic_heads import TextCentring, WordsVectorHead, name_pictures, picture_inputs
from triptych.models.spaces.semantic_weights import SemanticWeights, load_semantic_weights
from triptych.models.window import PreparedWindow

Picture = Callable[[str], NDArray[np.uint8]]
MakeWindow = Callable[..., PreparedWindow]


@pytest.fixture(scope="module")
def weights() -> SemanticWeights:
    """Return the weights of the package."""
    return load_semantic_weights()


def test_a_picture_is_named_by_the_convex_combination_of_its_labels() -> None:
    """The shares are the softmax of the best 30 logits at the temperature of the space; the sum has length 1."""
    random = np.random.default_rng(0)
    logits, names = random.normal(size=(2, 50)) * 3, random.normal(size=(50, 8))
    vectors = name_pictures(torch.from_numpy(logits), torch.from_numpy(names)).numpy()
    for row, vector in zip(logits, vectors, strict=True):
        best = np.argsort(-row)[:30]
        shares = np.exp(0.7 * row[best]) / np.exp(0.7 * row[best]).sum()
        expected = shares @ names[best]
        np.testing.assert_allclose(vector, expected / np.linalg.norm(expected), rtol=1e-6)


def test_a_certain_picture_has_the_vector_of_its_label() -> None:
    """With one label far ahead of the others."""
    logits = torch.full((1000,), -50.0)
    logits[3] = 50.0
    names = torch.nn.functional.normalize(torch.randn(1000, 16, generator=torch.Generator().manual_seed(0)), dim=-1)
    torch.testing.assert_close(name_pictures(logits, names), names[3])


def test_inputs_of_the_projection_have_length_one_whatever_the_contrast() -> None:
    """A picture with all features doubled has the same inputs."""
    features = torch.rand(3, 1280, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(picture_inputs(features), picture_inputs(2 * features))
    torch.testing.assert_close(picture_inputs(features).norm(dim=-1), torch.ones(3))


def test_masked_words_do_not_affect_the_vector(weights: SemanticWeights) -> None:
    """A row without words has zeros."""
    head = WordsVectorHead(TextCentring(weights))
    tokens = torch.randn(2, 3, 512, generator=torch.Generator().manual_seed(0))
    mask = torch.tensor([[True, True, False], [False, False, False]])
    vectors = head(Features({"text": Encoded(tokens, mask)}, None))
    alone = head(Features({"text": Encoded(tokens[:1, :2], mask[:1, :2])}, None))
    torch.testing.assert_close(vectors[0], alone[0])
    assert not vectors[1].any()


def test_centring_removes_what_tells_languages_apart(weights: SemanticWeights) -> None:
    """Nothing is left in these directions, and what is left has length 1."""
    directions = weights.language_directions
    torch.testing.assert_close(directions @ directions.T, torch.eye(len(directions)), atol=1e-4, rtol=0)
    centred = TextCentring(weights)(torch.randn(4, 512, generator=torch.Generator().manual_seed(1)))
    torch.testing.assert_close(centred @ directions.T, torch.zeros(4, len(directions)), atol=1e-5, rtol=0)
    torch.testing.assert_close(centred.norm(dim=-1), torch.ones(4))


QUERIES = {
    "cat": ["the face of a cat", "一只猫的脸", "ein Katzengesicht"],
    "coffee": ["a cup of coffee", "一杯咖啡", "eine Tasse Kaffee"],
    "rocket": ["a rocket on the launch pad", "发射台上的火箭", "eine Rakete vor dem Start"],
}


@pytest.mark.parametrize("name", sorted(QUERIES))
def test_texts_find_photographs(
    base_model: Model, picture: Picture, make_window: MakeWindow, name: str, weights_folder: object
) -> None:
    """In English, Chinese and German, the right one of three photographs is the nearest."""
    from triptych.models.pretrained.download.cache import cache_folder

    assert weights_folder
    names = sorted(QUERIES)
    predictions = base_model.predict([make_window([picture(one)]) for one in names])
    vectors = np.stack([prediction.vectors.video for prediction in predictions if prediction.vectors is not None])
    texts = build_semantic_space(cache_folder()).embed_texts(QUERIES[name])
    assert [names[index] for index in (texts @ vectors.T).argmax(1)] == [name] * len(texts)
