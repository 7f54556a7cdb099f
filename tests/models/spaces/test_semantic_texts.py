"""Vectors of texts in the semantic space, from the real sentence encoder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from triptych.models.spaces.semantic import SemanticSpace, build_semantic_space


@pytest.fixture(scope="module")
def space(weights_folder: Path) -> SemanticSpace:
    """Return the space on the CPU."""
    return build_semantic_space(weights_folder)


def test_a_vector_does_not_depend_on_the_other_texts(weights_folder: Path, space: SemanticSpace) -> None:
    """Another instance, which embeds the texts in another order and number, returns equal vectors."""
    texts = ["a steel bridge", "一座钢桥", "a cat on a sofa " * 20]
    together = space.embed_texts(texts)
    other = build_semantic_space(weights_folder)
    for text, vector in zip(reversed(texts), reversed(together), strict=True):
        np.testing.assert_array_equal(other.embed_texts([text])[0], vector)
    np.testing.assert_array_equal(space.embed_texts(texts), together)


def test_vectors_have_length_one(space: SemanticSpace) -> None:
    """Also those of unusual texts."""
    vectors = space.embed_texts(["x", "🐈", "1234", "猫"])
    assert vectors.shape == (4, space.dimensions)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(4), abs=1e-5)
    assert space.embed_texts([]).shape == (0, space.dimensions)


@pytest.mark.parametrize(
    ("english", "translations", "other"),
    [
        ("a red fire engine", ["一辆红色的消防车", "ein rotes Feuerwehrauto", "un camion de pompiers rouge"], "一只猫"),
        ("a cat", ["一只猫", "eine Katze", "кошка", "고양이"], "ein rotes Feuerwehrauto"),
    ],
)
def test_translations_are_near(space: SemanticSpace, english: str, translations: list[str], other: str) -> None:
    """A text is nearer to each of its translations than to another text in another language."""
    vector, *near, far = space.embed_texts([english, *translations, other])
    assert min(float(vector @ one) for one in near) > float(vector @ far) + 0.2


def test_an_empty_text_is_refused(space: SemanticSpace) -> None:
    """It would have an arbitrary vector."""
    with pytest.raises(ValueError, match="expected words"):
        space.embed_texts(["a bridge", " "])
