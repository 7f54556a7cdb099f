"""Make stream ids from file names: slugs that can be Kafka keys, made unique by a number."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable
from pathlib import PurePath
from typing import Final

_MAX_CHARACTERS: Final = 128
_NOT_ALLOWED: Final = re.compile(r"[^a-z0-9._-]+")


def stream_ids(names: Iterable[str]) -> tuple[str, ...]:
    """Return an id for each file name, in order. The second of two equal ones gets the suffix `-2`, and so on."""
    taken: set[str] = set()
    ids: list[str] = []
    for name in names:
        slug = slug_of(name)
        candidate, count = slug, 1
        while candidate in taken:
            count += 1
            suffix = f"-{count}"
            candidate = slug[: _MAX_CHARACTERS - len(suffix)] + suffix
        taken.add(candidate)
        ids.append(candidate)
    return tuple(ids)


def slug_of(name: str) -> str:
    """Return a file name without its extension, reduced to the characters that a stream id may have.

    Accents are removed. A name of which nothing is left, such as a Chinese one, becomes a hash of the name.
    """
    stem = PurePath(name).stem
    plain = unicodedata.normalize("NFKD", stem).encode("ascii", "ignore").decode().lower()
    slug = _NOT_ALLOWED.sub("-", plain).strip("-._")[:_MAX_CHARACTERS]
    return slug or "stream-" + hashlib.sha256(stem.encode("utf-8", "surrogatepass")).hexdigest()[:8]
