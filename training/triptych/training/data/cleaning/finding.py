"""The kinds of findings, and the actions that cleaning takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["undecodable", "empty", "silent", "black", "text", "duplicate", "conflict"]
Action = Literal["left out", "mended", "modality left out", "kept"]

MEANINGS: dict[Kind, str] = {
    "undecodable": "a file is missing, or some of it cannot be decoded",
    "empty": "the item gives no window",
    "silent": "the audio is silent",
    "black": "all frames are black",
    "text": "the text contains markup or broken characters",
    "duplicate": "another item has the same media, text and label",
    "conflict": "another item has the same media and text but another label",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One problem of an item.

    Attributes:
        item: id of the item.
        kind: kind of problem.
        detail: description.
        action: what cleaning did.
    """

    item: str
    kind: Kind
    detail: str
    action: Action
