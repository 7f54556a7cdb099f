"""Interactions of users with items, profiles of users, and texts of items. No I/O.

A user is a pseudonym: a keyed hash of the name, which itself is never written. All records of a user have keys that
begin with the pseudonym, so a tombstone for each of them deletes the user.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from triptych.schemas.errors import UsageError
from triptych.schemas.values import Count, Measure, Value

INTERACTION_VERSION: Final = 1
USER_PATTERN: Final = r"^[0-9a-f]{32}$"
ITEM_PATTERN: Final = r"^[A-Za-z0-9._-]{1,128}(/[0-9]{1,19}-[0-9]{1,19})?$"
_MOST_LABELS: Final = 32
_LANGUAGE_PATTERN: Final = r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$"

UserPseudonym = Annotated[str, StringConstraints(pattern=USER_PATTERN)]
ItemKind = Literal["window", "clip", "feed"]
ItemId = Annotated[str, StringConstraints(pattern=ITEM_PATTERN)]
UserAction = Literal["watched", "liked", "skipped"]
_LanguageTag = Annotated[str, StringConstraints(pattern=_LANGUAGE_PATTERN)]
_ItemLabel = Annotated[str, StringConstraints(min_length=1, max_length=64)]


class Interaction(Value):
    """What a user did with an item.

    `item` is the id of a window (`STREAM/START-END`) if `kind` is `window`, otherwise the id of a stream: a `clip` ends
    and is watched once, a `feed` goes on. `seconds` is how long it was watched; null if that is unknown or another
    action. A later record of the same user, action and item replaces an earlier one.
    """

    schema_version: Annotated[int, Field(ge=1)] = INTERACTION_VERSION
    user: UserPseudonym
    kind: ItemKind
    item: ItemId
    action: UserAction
    seconds: Annotated[Measure, Field(ge=0)] | None = None
    time_ns: Count

    @property
    def key(self) -> str:
        """The key of the record."""
        return f"{self.user}/{self.action}/{self.item_key}"

    @property
    def item_key(self) -> str:
        """The kind and the id of the item."""
        return f"{self.kind}/{self.item}"

    @model_validator(mode="after")
    def _kind_fits_item(self) -> Self:
        _check_kind(self.kind, self.item)
        if self.seconds is not None and self.action != "watched":
            msg = "seconds: null, unless the action is watched"
            raise ValueError(msg)
        return self


class UserProfile(Value):
    """What a user likes, in the user's own words. It replaces the profile before."""

    schema_version: Annotated[int, Field(ge=1)] = INTERACTION_VERSION
    user: UserPseudonym
    text: Annotated[str, StringConstraints(min_length=1, max_length=2_000)]
    language: _LanguageTag | None = None
    time_ns: Count

    @property
    def key(self) -> str:
        """The key of the record."""
        return f"{self.user}/profile"


class ItemText(Value):
    """What an item is about, for items that no worker has seen, such as those of an imported data set."""

    schema_version: Annotated[int, Field(ge=1)] = INTERACTION_VERSION
    kind: ItemKind
    item: ItemId
    title: Annotated[str, StringConstraints(min_length=1, max_length=500)]
    labels: Annotated[tuple[_ItemLabel, ...], Field(max_length=_MOST_LABELS)] = ()
    language: _LanguageTag | None = None
    time_ns: Count

    @property
    def key(self) -> str:
        """The key of the record. No pseudonym begins like it."""
        return f"item/{self.item_key}"

    @property
    def item_key(self) -> str:
        """The kind and the id of the item."""
        return f"{self.kind}/{self.item}"

    @model_validator(mode="after")
    def _kind_fits_item(self) -> Self:
        _check_kind(self.kind, self.item)
        return self


RecommendationRecord = Interaction | UserProfile | ItemText
"""All that the topic of interactions holds."""


def item_of(text: str, kind: Literal["clip", "feed"] = "feed") -> tuple[ItemKind, str]:
    """Return the kind and the id of an item that a user named: the id of a result, of a window or of a stream.

    Args:
        text: `STREAM/START-END/REVISION`, `STREAM/START-END` or `STREAM`.
        kind: what a stream is.

    Raises:
        UsageError: it is none of these.
    """
    parts = text.split("/")
    if len(parts) == 1:
        return kind, text
    most = 3
    if len(parts) <= most and all(bound.isdecimal() for bound in parts[1].split("-")) and "-" in parts[1]:
        return "window", "/".join(parts[:2])
    raise UsageError(f"item: expected STREAM, or STREAM/START-END with or without /REVISION, got {text!r}")


def _check_kind(kind: ItemKind, item: str) -> None:
    if (kind == "window") != ("/" in item):
        msg = "item: STREAM/START-END of a window, STREAM of a clip or feed"
        raise ValueError(msg)
