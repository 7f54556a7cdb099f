"""Compare the language tags of media files, which have three spellings: `en`, `eng` and `en-GB`."""

from __future__ import annotations

import re
from typing import Final

from triptych.schemas.languages import UNKNOWN_LANGUAGES, language_code

DEFAULT_LANGUAGE: Final = "eng"

_TAG: Final = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8})*")


def language_of(tag: str | None) -> str | None:
    """Return a file's tag unchanged where it names a language, else None."""
    if tag is None or not _TAG.fullmatch(tag) or tag.lower() in UNKNOWN_LANGUAGES:
        return None
    return tag


def same_language(one: str | None, other: str | None) -> bool:
    """Return whether two tags name the same language. Spelling and region do not count."""
    return one is not None and other is not None and language_code(one) == language_code(other)
