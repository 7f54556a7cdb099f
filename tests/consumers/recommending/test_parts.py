"""Pseudonyms, preferences, diversity and reasons: the pure parts of a recommendation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.consumers.recommending.conftest import ANNA, did, film, towards
from triptych.consumers.recommending.diversity import diversified
from triptych.consumers.recommending.preferences import Preference, preferences_of
from triptych.consumers.recommending.pseudonyms import Pseudonyms
from triptych.consumers.recommending.reasons import reason_of, shared_features
from triptych.consumers.recommending.recommendable import Recommendable
from triptych.schemas.errors import UsageError


def test_a_pseudonym_depends_on_name_and_secret(tmp_path: Path) -> None:
    """By RFC 2104: HMAC-SHA-256, cut to 128 bits. It is equal on all machines that have the secret."""
    file = tmp_path / "secret"
    file.write_text("0123456789abcdef\n")
    known = Pseudonyms.read(file)
    assert known.of("anna") == known.of(" anna ") == Pseudonyms(b"0123456789abcdef").of("anna")
    assert known.of("anna") == "b7a04172e11eaea238a11b25b8cf06e7"
    assert len({known.of("anna"), known.of("bert"), Pseudonyms(b"f" * 16).of("anna")}) == 3
    for bad in ("", tmp_path / "missing"):
        with pytest.raises(UsageError, match="openssl"):
            Pseudonyms.read(bad)
    with pytest.raises(UsageError, match="at least 16"):
        Pseudonyms(b"short")
    with pytest.raises(UsageError, match="user"):
        known.of(" ")


@pytest.mark.parametrize(
    ("actions", "weight", "liked"),
    [
        ([("watched", 1)], 1.0, False),
        ([("liked", 1)], 2.0, True),
        ([("watched", 1), ("liked", 2)], 3.0, True),
        ([("liked", 1), ("skipped", 2)], -1.0, False),
        ([("skipped", 1), ("liked", 2)], 2.0, True),
        ([("watched", 1), ("skipped", 2)], -1.0, False),
        ([("skipped", 1), ("watched", 2)], 1.0, False),
    ],
)
def test_the_newest_of_liking_and_skipping_counts(actions: list[tuple], weight: float, *, liked: bool) -> None:
    """And what was watched adds to a like."""
    (found,) = preferences_of(did(ANNA, action, "film", second) for action, second in actions)
    assert (found.item, found.weight, found.liked) == ("clip/film", weight, liked)


def test_watching_longer_counts_more() -> None:
    """Up to a bound. The order is that of time."""
    found = preferences_of(
        did(ANNA, "watched", name, second, seconds=seconds)
        for name, second, seconds in (("long", 3, 1e6), ("short", 1, 0.1), ("some", 2, 15.0))
    )
    assert [(one.item, one.weight) for one in found] == [("clip/short", 0.1), ("clip/some", 0.5), ("clip/long", 2.0)]


def test_diversity_passes_over_what_is_like_the_best() -> None:
    """Without it, scores alone decide. With it, the second item is the best that differs from the first."""
    scores = np.array([1.0, 0.99, 0.6, 0.0], np.float32)
    vectors = np.stack([towards("cats"), towards("cats", 0.05), towards("music"), np.zeros(4, np.float32)])
    assert diversified(scores, vectors, 3, 0.0) == [0, 1, 2]
    assert diversified(scores, vectors, 3, 0.5)[:2] == [0, 2]
    assert diversified(scores, vectors, 9, 0.5)[-1] != 0
    assert sorted(diversified(scores, vectors, 9, 1.0)) == [0, 1, 2, 3]
    assert diversified(scores[:0], vectors[:0], 3, 0.5) == []


def test_what_items_share_is_told_in_words() -> None:
    """Labels, then words of what was said, then the language."""
    one = Recommendable("window/a/0-1", "a", ("people", "bridge"), "en", words="The harbour was quiet that night")
    other = Recommendable("window/b/0-1", "b", ("bridge", "People"), "en", words="a night in the harbour")
    assert shared_features(one, other) == ("people", "bridge", "harbour", "night", "English")
    assert shared_features(one, Recommendable("clip/c", "c", ("cats",), "de")) == ()


def reason(item: Recommendable, *history: Recommendable, **known: object) -> str:
    """Return the reason of an item after these were watched, the first of them liked."""
    liked = [
        (Preference(other.item, 1.0, liked=not place, time_ns=place), other) for place, other in enumerate(history)
    ]
    fields: dict = {"closeness": {}, "profile_similarity": None, "count": 0} | known
    return str(reason_of(item, liked, **fields))


def test_the_reason_is_the_nearest_item_of_the_history() -> None:
    """Otherwise the profile, those who watched both, or that anybody did."""
    near = reason(film("trains", 1), film("trains", 2), film("cats", 1))
    assert near == "because you liked trains 2: trains, people, English"
    assert reason(film("cats", 1), film("trains", 2), film("cats", 2)).startswith("because you watched cats 2: cats")
    assert reason(film("cats", 1), profile_similarity=0.9) == "because of your profile"
    unknown, other = Recommendable("clip/x", "x"), Recommendable("clip/y", "y")
    assert reason(unknown, other, closeness={"clip/y": 0.9}) == "because others who watched y watched it"
    assert reason(unknown, other, count=3) == "because others watched or liked it"
    assert reason(unknown) == "because it is new"
