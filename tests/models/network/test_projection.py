"""The random projection: similar windows are close, and missing modalities do not matter."""

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
    """Return a row of random unmasked tokens."""
    random = np.random.default_rng(seed)
    return Encoded(
        torch.from_numpy(random.standard_normal((1, count, DIMS[modality]))).float(), torch.ones(1, count).bool()
    )


def fused(fusion: ProjectionFusion, encoded: Mapping[str, Encoded]) -> Tensor:
    """Return the embedding of the only row."""
    row: Tensor = fusion(encoded).vector[0]
    return row


def test_the_projection_is_the_same_on_every_machine(fusion: ProjectionFusion) -> None:
    """Embeddings of different installations and library versions are comparable."""
    assert fusion.matrices["audio"][0, :3].tolist() == pytest.approx([-0.06446, 0.091305, -0.106359], abs=1e-6)


def test_every_vector_has_length_one(fusion: ProjectionFusion) -> None:
    """For any subset of modalities."""
    for present in (("video",), ("audio", "text"), ("video", "audio", "text")):
        vector = fused(fusion, {modality: tokens(1, modality) for modality in present})
        assert vector.shape == (EMBEDDING,)
        assert vector.norm().item() == pytest.approx(1)


def test_the_cosine_of_windows_is_the_mean_cosine_of_their_modalities(fusion: ProjectionFusion) -> None:
    """With two of three modalities equal, the cosine is about 2/3."""
    one = fused(fusion, {modality: tokens(1, modality) for modality in DIMS})
    other = fused(fusion, {"video": tokens(1, "video"), "audio": tokens(1, "audio"), "text": tokens(2, "text")})
    assert (one @ other).item() == pytest.approx(2 / 3, abs=0.15)


def test_masked_tokens_do_not_affect_the_embedding(fusion: ProjectionFusion) -> None:
    """Masked tokens, and modalities that only other rows have, do not affect a row."""
    video = tokens(1, "video", 2)
    first = Encoded(video.tokens[:, :1], video.mask[:, :1])
    masked = Encoded(video.tokens, torch.tensor([[True, False]]))
    nothing = Encoded(tokens(3, "text").tokens, torch.tensor([[False]]))
    expected = fused(fusion, {"video": first})
    torch.testing.assert_close(fused(fusion, {"video": masked}), expected)
    torch.testing.assert_close(fused(fusion, {"video": masked, "text": nothing}), expected)


def test_a_frame_embedding_is_the_window_with_one_frame(fusion: ProjectionFusion) -> None:
    """Each frame embedding includes audio and text of the window."""
    video, text = tokens(1, "video", 3), tokens(2, "text")
    frame_embeddings = fusion.frame_embeddings({"video": video, "text": text})[0]
    assert frame_embeddings.shape == (3, EMBEDDING)
    for index, moment in enumerate(frame_embeddings):
        picture = Encoded(video.tokens[:, index : index + 1], video.mask[:, :1])
        torch.testing.assert_close(moment, fused(fusion, {"video": picture, "text": text}))


def test_without_frames_the_only_frame_embedding_is_that_of_the_window(fusion: ProjectionFusion) -> None:
    """With and without other rows that have frames."""
    text = tokens(2, "text")
    expected = fused(fusion, {"text": text})
    torch.testing.assert_close(fusion.frame_embeddings({"text": text})[0, 0], expected)
    unseen = Encoded(tokens(1, "video", 2).tokens, torch.zeros(1, 2).bool())
    torch.testing.assert_close(fusion.frame_embeddings({"text": text, "video": unseen})[0, 0], expected)
