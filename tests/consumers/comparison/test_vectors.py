"""Encoded vectors are compared by their cosine: as text, a rounding would be a difference."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triptych.consumers.comparison.compare import compare, differences
from triptych.consumers.subscription.result_buffer import Delivery
from triptych.schemas.perception.vectors import Vectors, encode_vector

if TYPE_CHECKING:
    from tests.consumers.conftest import MakeResult


def _found(left: str, right: str, path: str = "vectors.fused", tolerance: float = 0.001) -> list[tuple[str, object]]:
    return [(each.path, each.right) for each in differences(left, right, path, tolerance=tolerance)]


def test_vectors_that_point_the_same_way_are_equal() -> None:
    """Within the tolerance of 1 - cosine."""
    left, right = encode_vector((0.6, 0.8)), encode_vector((0.6005, 0.7996))
    assert left != right
    assert _found(left, right) == []
    assert _found(encode_vector((1.0, 0.0)), encode_vector((0.0, 1.0))) == [("vectors.fused (cosine)", 0.0)]


def test_what_is_no_vector_differs() -> None:
    """Other lengths, other texts, and the names of spaces are compared too."""
    left = encode_vector((0.6, 0.8))
    assert _found(left, encode_vector((1.0,))) == [("vectors.fused (cosine)", -1.0)]
    assert _found(left, "no base64") == [("vectors.fused (cosine)", -1.0)]
    assert _found("semantic-1", "siglip", "vectors.space") == [("vectors.space", "siglip")]
    assert _found("one", "other", "observations.language") == [("observations.language", "other")]


def test_a_fused_vector_that_one_side_leaves_out_is_computed(make_result: MakeResult) -> None:
    """Earlier workers published it, later ones the weights that it follows from."""
    own = {"video": encode_vector((1.0, 0.0)), "subtitles": encode_vector((0.0, 1.0))}
    later = make_result(0, vectors=Vectors(space="s", **own, weights={"video": 3.0, "subtitles": 4.0}))
    earlier = make_result(0, vectors=Vectors(space="s", **own, fused=encode_vector((0.6, 0.8))))
    other = make_result(0, vectors=Vectors(space="s", **own, fused=encode_vector((0.8, 0.6))))

    def compared(result: object) -> list[str]:
        sides = [[Delivery(one, one.model_dump_json().encode())] for one in (later, result)]
        return list(compare(*sides, tolerance=0.001).fields)

    assert compared(earlier) == []
    assert compared(other) == ["vectors.fused (cosine)"]
    damaged = make_result(0, vectors=Vectors(space="s", video="no base64", fused=encode_vector((0.6, 0.8))))
    assert compared(damaged) != []
