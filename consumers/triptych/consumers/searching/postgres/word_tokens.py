"""Words of a text for the full-text search of PostgreSQL. Pure.

Its own parser needs spaces between words. Here, a run of Chinese, Japanese, Thai, Lao, Khmer or Burmese letters becomes
all its single letters and pairs of letters, so that any part of it is found. Other scripts are split where letters and
digits end. Case and accents do not matter. The server reduces English words to their stems.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

MAX_CHARACTERS: Final = 20_000
"""Of a longer text, the rest cannot be found by its words: PostgreSQL limits the words of a row to 1 MiB."""
_WORD_CHARACTERS: Final = 255
"""Longer words are cut to this length. PostgreSQL indexes none of 2 KiB, and refuses to look for one."""
_ACCENTS: Final = re.compile("[\u0300-\u036f]")
_MARKS: Final = "".join(chr(code) for code in range(0x0370, 0x2000) if unicodedata.category(chr(code)).startswith("M"))
"""Vowel signs and the like, which belong to the word. For Python they are no letters."""
_UNSPACED: Final = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"  # Thai, Lao, Burmese, Khmer
    "\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff"  # repetition marks, kana
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Han
)
_RUN: Final = re.compile(
    rf"(?P<unspaced>(?:(?![_])[\w{_MARKS}](?<=[{_UNSPACED}]))+)|(?:(?![_{_UNSPACED}])[\w{_MARKS}])+"
)


def words_for_index(text: str) -> str:
    """Return the words of a text, separated by spaces, as the index stores them."""
    words: list[str] = []
    for run, is_unspaced in _runs(text[:MAX_CHARACTERS]):
        words += [*run, *_pairs(run)] if is_unspaced else [run[:_WORD_CHARACTERS]]
    return " ".join(words)


def query_of_any(text: str) -> str:
    """Return a text as a query of PostgreSQL that one of its words fulfils; empty if it has none."""
    words: list[str] = []
    for run, is_unspaced in _runs(text):
        words += (_pairs(run) or [run]) if is_unspaced else [run[:_WORD_CHARACTERS]]
    return " | ".join(dict.fromkeys(words))


def query_of_all(text: str) -> str:
    """Return a text as a query that all its words fulfil, and of scripts without spaces all its pairs of letters."""
    return query_of_any(text).replace(" | ", " & ")


def _runs(text: str) -> list[tuple[str, bool]]:
    """Return the runs of letters and digits, and whether the script of each has no spaces between words."""
    plain = unicodedata.normalize("NFC", _ACCENTS.sub("", unicodedata.normalize("NFKD", text.casefold())))
    return [(found[0], found["unspaced"] is not None) for found in _RUN.finditer(plain)]


def _pairs(run: str) -> list[str]:
    return [run[place : place + 2] for place in range(len(run) - 1)]
