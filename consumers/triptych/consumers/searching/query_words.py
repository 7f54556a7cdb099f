"""Choose the words of a query that are looked for. Pure."""

from __future__ import annotations

import re
from typing import Final

_STOP_WORDS: Final = frozenset(
    {
        "a",
        "about",
        "an",
        "and",
        "are",
        "as",
        "at",
        "be",
        "been",
        "but",
        "by",
        "did",
        "do",
        "does",
        "for",
        "from",
        "had",
        "has",
        "have",
        "he",
        "her",
        "his",
        "i",
        "in",
        "into",
        "is",
        "it",
        "its",
        "me",
        "my",
        "not",
        "of",
        "on",
        "or",
        "our",
        "she",
        "so",
        "some",
        "somebody",
        "someone",
        "something",
        "that",
        "the",
        "their",
        "them",
        "then",
        "there",
        "they",
        "this",
        "to",
        "was",
        "we",
        "were",
        "what",
        "when",
        "where",
        "which",
        "while",
        "who",
        "will",
        "with",
        "would",
        "you",
        "your",
    }
)
"""English words that are in most sentences. The index has them: `--said "to be"` finds both."""
_WORD: Final = re.compile(r"[^\s,.;:!?\"()]+")


_APOSTROPHES: Final = str.maketrans(dict.fromkeys("\u2018\u2019\u02bc\uff07", "'"))


def with_plain_apostrophes(text: str) -> str:
    """Return a text whose apostrophes are those of ASCII. Stemming takes the possessive of NASA's off with no other."""
    return text.translate(_APOSTROPHES)


def content_words(text: str) -> str:
    """Return a text without English stop words, or the text itself if it has no others.

    Each word of a query finds every part that has it, and fusion takes ranks without scores. So a query whose other
    words are nowhere would put sentences with its "the" beside what it means.
    """
    kept = [word for word in _WORD.findall(text) if word.lower() not in _STOP_WORDS]
    return " ".join(kept) or text


def is_one_word(text: str) -> bool:
    """Return whether a text is a single word for any index: rows with some of its words are those that have all."""
    return text.isascii() and text.isalnum()
