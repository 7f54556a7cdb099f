"""Words of labels and prompts: which labels of detections a prompt names. Pure."""

from __future__ import annotations

import re
from typing import Final

LabelWords = frozenset[str]

_WORD: Final = re.compile(r"[^\W_]+")
_SHORTEST_PLURAL: Final = 4
_SINGULAR_OF: Final = {"people": "person", "men": "man", "women": "woman", "children": "child", "buses": "bus"}


def label_words(text: str) -> LabelWords:
    """Return the words of a text in lower case, English plurals as singulars."""
    return frozenset(map(_singular, _WORD.findall(text.casefold())))


def names_label(words: LabelWords, label: LabelWords) -> bool:
    """Return whether a text with these words names a label: it has all words of the label."""
    return bool(label) and label <= words


def _singular(word: str) -> str:
    if word in _SINGULAR_OF:
        return _SINGULAR_OF[word]
    is_plural = len(word) >= _SHORTEST_PLURAL and word.endswith("s") and not word.endswith("ss")
    return word[:-1] if is_plural else word
