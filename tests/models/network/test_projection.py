"""One space for all modalities: what is alike lies close, what is missing does not matter."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
import torch
from torch import Tensor

from triptych.models.network.parts import Encoded
from triptych.models.network.projection import EMBEDDING, ProjectionFusion

DIMS = {"video": 1280, "audio": 128, "text": 512}


@pytest.fixture(scope="module")
def fusion() -> ProjectionFusion:
    """Return the fusion of the base model."""
    return ProjectionFusion(DIMS)


def tokens(seed: int, modality: str, count: int = 1) -> Encoded:
    """Return a row of tokens at random, all there."""
    random = np.random.default_rng(seed)
    return Encoded(
        torch.from_numpy(random.standard_normal((1, count, DIMS[modality]))).float(), torch.ones(1, count).bool()
    )


def fused(fusion: ProjectionFusion, encoded: Mapping[str, Encoded]) -> Tensor:
    """Return the vector of the one row."""
    row: Tensor = fusion(encoded).vector[0]
    return row


def test_the_projection_is_the_same_on_every_machine(fusion: ProjectionFusion) -> None:
    """Embeddings of two installations, and of two versions of the libraries, can be compared."""
    assert fusion.matrices["audio"][0, :3].tolist() == pytest.approx([-0.06446, 0.091305, -0.106359], abs=1e-6)


def test_every_vector_has_length_one(fusion: ProjectionFusion) -> None:
    """Whatever is there."""
    for present in (("video",), ("audio", "text"), ("video", "audio", "text")):
        vector = fused(fusion, {modality: tokens(1, modality) for modality in present})
        assert vector.shape == (EMBEDDING,)
        assert vector.norm().item() == pytest.approx(1)


def test_the_likeness_of_windows_is_the_mean_likeness_of_what_they_hold(fusion: ProjectionFusion) -> None:
    """Two of three modalities the same: two thirds."""
    one = fused(fusion, {modality: tokens(1, modality) for modality in DIMS})
    other = fused(fusion, {"video": tokens(1, "video"), "audio": tokens(1, "audio"), "text": tokens(2, "text")})
    assert (one @ other).item() == pytest.approx(2 / 3, abs=0.15)


def test_tokens_that_are_not_there_change_nothing(fusion: ProjectionFusion) -> None:
    """Nor does a modality that only another row has."""
    video = tokens(1, "video", 2)
    first = Encoded(video.tokens[:, :1], video.mask[:, :1])
    masked = Encoded(video.tokens, torch.tensor([[True, False]]))
    nothing = Encoded(tokens(3, "text").tokens, torch.tensor([[False]]))
    expected = fused(fusion, {"video": first})
    torch.testing.assert_close(fused(fusion, {"video": masked}), expected)
    torch.testing.assert_close(fused(fusion, {"video": masked, "text": nothing}), expected)


def test_a_moment_is_the_window_with_one_picture(fusion: ProjectionFusion) -> None:
    """Its sound and its words are the window's."""
    video, text = tokens(1, "video", 3), tokens(2, "text")
    frame_embeddings = fusion.frame_embeddings({"video": video, "text": text})[0]
    assert frame_embeddings.shape == (3, EMBEDDING)
    for index, moment in enumerate(frame_embeddings):
        picture = Encoded(video.tokens[:, index : index + 1], video.mask[:, :1])
        torch.testing.assert_close(moment, fused(fusion, {"video": picture, "text": text}))


def test_without_pictures_the_window_is_its_own_only_moment(fusion: ProjectionFusion) -> None:
    """Alone, or beside a row that has some."""
    text = tokens(2, "text")
    expected = fused(fusion, {"text": text})
    torch.testing.assert_close(fusion.frame_embeddings({"text": text})[0, 0], expected)
    unseen = Encoded(tokens(1, "video", 2).tokens, torch.zeros(1, 2).bool())
    torch.testing.assert_close(fusion.frame_embeddings({"text": text, "video": unseen})[0, 0], expected)
