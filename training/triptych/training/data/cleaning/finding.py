"""What cleaning finds, and what it does about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["undecodable", "empty", "silent", "black", "text", "duplicate", "conflict"]
Action = Literal["left out", "mended", "modality left out", "kept"]

MEANINGS: dict[Kind, str] = {
    "undecodable": "a file is missing, or (in part) cannot be decoded",
    "empty": "nothing of it falls into a window",
    "silent": "its sound is silence",
    "black": "all its pictures are black",
    "text": "its words hold what nobody said",
    "duplicate": "the same media and words stand elsewhere, with the same label",
    "conflict": "the same media and words stand elsewhere, with another label",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong with an item.

    Attributes:
        item: its id.
        kind: what is wrong.
        detail: more of it, in words.
        action: what became of the item.
    """

    item: str
    kind: Kind
    detail: str
    action: Action
