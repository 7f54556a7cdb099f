"""Phrase lookup in labels and words, with scores. No I/O."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

# Thai, Lao, kana and Chinese are written without spaces: each character counts as a word.
_UNSPACED: Final = "\u0e00-\u0eff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_WORD: Final = re.compile(rf"[{_UNSPACED}]|[^\W{_UNSPACED}]+")
_SEPARATOR: Final = " "


class Phrases:
    """Texts with scores, searched by whole words in any case: "dog" is in "Hot dog, red hot", but not in "dogma"."""

    __slots__ = ("_scored",)

    def __init__(self, scored: Iterable[tuple[str, float]] = ()) -> None:
        """Store texts with their scores."""
        self._scored = tuple((_words(text), score) for text, score in scored)

    def __contains__(self, phrase: object) -> bool:
        """Return whether one of the texts contains the phrase's words, in order."""
        return any(True for _ in self._found(phrase))

    def __getitem__(self, phrase: object) -> float:
        """Return the best score of the texts that contain the phrase; 0 if there is none."""
        return max(self._found(phrase), default=0.0)

    def __len__(self) -> int:
        """Return the number of texts: a rule that names them alone tests whether there are any."""
        return len(self._scored)

    def _found(self, phrase: object) -> Iterator[float]:
        """Return the scores of the texts that contain the phrase. A phrase without a word is contained nowhere."""
        wanted = _words(_text(phrase))
        return (score for words, score in self._scored if wanted.strip() and wanted in words)


class Heads:
    """The predictions of the trained heads by name. An unknown head predicts nothing."""

    __slots__ = ("_heads",)

    def __init__(self, heads: Mapping[str, Phrases]) -> None:
        """Store each head's labels."""
        self._heads = heads

    def __contains__(self, name: object) -> bool:
        """Return whether there is a head of this name."""
        return _text(name) in self._heads

    def __getitem__(self, name: object) -> Phrases:
        """Return the head's labels."""
        return self._heads.get(_text(name), Phrases())

    def __len__(self) -> int:
        """Return the number of heads."""
        return len(self._heads)


def _words(text: str) -> str:
    """Return the words, each between separators, so that a substring search finds whole words only."""
    return f"{_SEPARATOR}{_SEPARATOR.join(_WORD.findall(text.casefold()))}{_SEPARATOR}"


def _text(phrase: object) -> str:
    """Return the phrase; empty text, which is contained nowhere, for a missing value."""
    if phrase is None:
        return ""
    if not isinstance(phrase, str):
        raise TypeError("a text in quotes")
    return phrase
