"""Vectors of windows, and the fused one that follows from them."""

from __future__ import annotations

import pytest

from triptych.schemas.perception.vectors import Vectors, decode_vector, encode_vector, fused_vector

EAST, NORTH = encode_vector((1.0, 0.0)), encode_vector((0.0, 1.0))


def test_the_fused_vector_is_the_weighted_sum_of_those_of_the_modalities() -> None:
    """Of length 1. A modality without a vector or without a weight does not count."""
    vectors = Vectors(space="s", video=EAST, audio=EAST, subtitles=NORTH, weights={"video": 3.0, "subtitles": 4.0})
    assert fused_vector(vectors) == pytest.approx((0.6, 0.8))
    assert fused_vector(vectors.model_copy(update={"subtitles": None})) == (1.0, 0.0)


def test_a_published_fused_vector_counts() -> None:
    """That of earlier workers, and of spaces in which it is that of the pictures alone."""
    fused = encode_vector((0.6, 0.8))
    assert fused_vector(Vectors(space="s", fused=fused, video=EAST)) == decode_vector(fused)


def test_without_anything_there_is_none() -> None:
    """Neither weights nor vectors, or vectors that cancel out."""
    assert fused_vector(Vectors(space="s", video=EAST)) is None
    assert fused_vector(Vectors(space="s", weights={"video": 1.0})) is None
    opposite = Vectors(space="s", video=EAST, audio=encode_vector((-1.0, 0.0)), weights={"video": 1.0, "audio": 1.0})
    assert fused_vector(opposite) is None


def test_what_is_no_vector_is_an_error() -> None:
    """Also where lengths differ."""
    with pytest.raises(ValueError, match=r"base64|padding|characters"):
        fused_vector(Vectors(space="s", video="?", weights={"video": 1.0}))
    with pytest.raises(ValueError, match="zip"):
        fused_vector(Vectors(space="s", video=EAST, audio=encode_vector((1.0,)), weights={"video": 1.0, "audio": 1.0}))


def test_weights_are_written_only_where_there_are_some() -> None:
    """Results without them look as before."""
    assert "weights" not in Vectors(space="s", fused=EAST).model_dump_json()
    kept = Vectors(space="s", video=EAST, weights={"video": 1.0})
    assert Vectors.model_validate_json(kept.model_dump_json()) == kept
