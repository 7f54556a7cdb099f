"""Interactions, profiles and texts of items: what is valid, and their keys."""

from __future__ import annotations

import pytest

from triptych.schemas.errors import MalformedRecordError, UsageError
from triptych.schemas.recommending.interaction_codec import decode_interaction, encode_interaction
from triptych.schemas.recommending.interactions import Interaction, UserProfile, item_of
from triptych.schemas.validation import built

USER = "0123456789abcdef" * 2
FIELDS = {"user": USER, "kind": "window", "item": "city/0-2000000000", "action": "watched", "seconds": 3, "time_ns": 7}


def test_all_keys_of_a_user_begin_with_the_pseudonym() -> None:
    """So tombstones for them delete the user. Actions with an item have keys of their own."""
    watched, liked = Interaction(**FIELDS), Interaction(**FIELDS | {"action": "liked", "seconds": None})
    profile = UserProfile(user=USER, text="trains", time_ns=1)
    assert watched.key == f"{USER}/watched/window/city/0-2000000000"
    assert len({watched.key, liked.key, profile.key}) == 3
    assert all(one.key.startswith(f"{USER}/") for one in (watched, liked, profile))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("user", "anna"),
        ("kind", "clip"),
        ("item", "city"),
        ("item", "a city"),
        ("action", "shared"),
        ("action", "liked"),
        ("seconds", -1),
        ("seconds", float("nan")),
    ],
)
def test_an_invalid_interaction_is_rejected(field: str, value: object) -> None:
    """A name is no pseudonym, a window has its times, and only watching takes time."""
    with pytest.raises(MalformedRecordError):
        built(Interaction, FIELDS | {field: value})


@pytest.mark.parametrize(
    ("named", "kind", "item"),
    [
        ("city/0-2/0", "window", "city/0-2"),
        ("city/0-2", "window", "city/0-2"),
        ("city", "feed", "city"),
    ],
)
def test_an_item_is_named_by_result_window_or_stream(named: str, kind: str, item: str) -> None:
    """All revisions of a window are one item."""
    assert item_of(named) == (kind, item)
    assert item_of("film", "clip") == ("clip", "film")


@pytest.mark.parametrize("named", ["city/", "city/0", "city/a-b", "city/0-2/0/1"])
def test_what_names_no_item_is_rejected(named: str) -> None:
    """With what was expected."""
    with pytest.raises(UsageError, match="expected STREAM"):
        item_of(named)


def test_a_record_under_the_key_of_another_is_malformed() -> None:
    """Otherwise the tombstones of its user would not delete it."""
    wire = encode_interaction(Interaction(**FIELDS), pipeline="city")
    with pytest.raises(MalformedRecordError, match="key"):
        decode_interaction(b"f" * 32 + b"/profile", wire.value, wire.headers)
    with pytest.raises(MalformedRecordError, match="ce_type"):
        decode_interaction(wire.key, wire.value, [("ce_specversion", b"1.0"), ("ce_type", b"triptych.end")])
