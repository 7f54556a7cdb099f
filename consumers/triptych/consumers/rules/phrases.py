"""What rules ask of labels and words: whether a phrase is among them, and with which score. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

# Thai, Lao, kana and Chinese characters are written without blanks: each counts as a word of its own.
_UNSPACED: Final = "\u0e00-\u0eff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_WORD: Final = re.compile(rf"[{_UNSPACED}]|[^\W{_UNSPACED}]+")
_APART: Final = " "


class Phrases:
    """Texts with scores, asked by whole words in any case: "dog" is in "Hot dog, red hot", and not in "dogma"."""

    __slots__ = ("_scored",)

    def __init__(self, scored: Iterable[tuple[str, float]] = ()) -> None:
        """Take texts with their scores."""
        self._scored = tuple((_words(text), score) for text, score in scored)

    def __contains__(self, phrase: object) -> bool:
        """Say whether the phrase's words stand together in one of the texts."""
        return any(True for _ in self._found(phrase))

    def __getitem__(self, phrase: object) -> float:
        """Return the best score of the texts that hold the phrase; 0 where there is none."""
        return max(self._found(phrase), default=0.0)

    def __len__(self) -> int:
        """Count the texts: a rule that names them alone asks whether there are any."""
        return len(self._scored)

    def _found(self, phrase: object) -> Iterator[float]:
        """Give the scores of the texts that hold the phrase; a phrase without a word is nowhere."""
        wanted = _words(_text(phrase))
        return (score for words, score in self._scored if wanted.strip() and wanted in words)


class Heads:
    """The predictions of the trained heads by name; a head that is not there predicts nothing."""

    __slots__ = ("_heads",)

    def __init__(self, heads: Mapping[str, Phrases]) -> None:
        """Take each head's labels."""
        self._heads = heads

    def __contains__(self, name: object) -> bool:
        """Say whether there is a head of this name."""
        return _text(name) in self._heads

    def __getitem__(self, name: object) -> Phrases:
        """Return the labels of a head."""
        return self._heads.get(_text(name), Phrases())

    def __len__(self) -> int:
        """Count the heads."""
        return len(self._heads)


def _words(text: str) -> str:
    """Return the words alone, each between blanks, so that whole words can be found as text."""
    return f"{_APART}{_APART.join(_WORD.findall(text.casefold()))}{_APART}"


def _text(phrase: object) -> str:
    """Return what is asked for; nothing, which is nowhere, for what a result does not have."""
    if phrase is None:
        return ""
    if not isinstance(phrase, str):
        raise TypeError("a text in quotes")
    return phrase
