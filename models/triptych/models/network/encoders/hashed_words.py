"""A tokenizer for any language without a vocabulary: each word is represented by hashes (Weinberger et al., 2009).

Scripts without spaces between words (Chinese, Japanese, Thai and others) are split into characters, each hashed with
its neighbours. Other words are hashed as a whole, by their first and by their last characters, so that unknown forms of
a known word share hashes with it (compare fastText; Bojanowski et al., 2017, arXiv 1607.04606).
"""

from __future__ import annotations

import re
import unicodedata
import zlib
from collections.abc import Sequence

SLOTS = 3
BITS = 20
"""Bits per hash. A token is an integer that packs `SLOTS` hashes, below a bit that is always set."""
PRESENT = 1 << (SLOTS * BITS)
_EDGE_CHARACTERS = 3
# Matches a run of letters and digits, a single character of a script without spaces, or any other single symbol.
_UNSPACED = (
    "\u0e00-\u0eff\u1780-\u17ff\u1000-\u109f\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
_PIECES = re.compile(rf"[{_UNSPACED}]|[^\W_{_UNSPACED}]+|[^\w\s]|_")
_IS_UNSPACED = re.compile(rf"[{_UNSPACED}]")
START = "\x02"
END = "\x03"


def hash_words(text: str) -> list[int]:
    """Return the tokens of one cue, between a start and an end token."""
    pieces = [START, *split_words(text), END]
    return [_token(pieces, index) for index in range(len(pieces))]


def split_words(text: str) -> list[str]:
    """Split the text of a cue into words, normalised with NFKC and case folding."""
    words: list[str] = _PIECES.findall(unicodedata.normalize("NFKC", text).casefold())
    return words


def _token(pieces: Sequence[str], index: int) -> int:
    piece = pieces[index]
    if _IS_UNSPACED.match(piece):
        features = (piece, f"{pieces[index - 1]}{piece}", f"{piece}{pieces[index + 1]}")
    else:
        features = (piece, f"^{piece[:_EDGE_CHARACTERS]}", f"{piece[-_EDGE_CHARACTERS:]}$")
    token = PRESENT
    for slot, feature in enumerate(features):
        token |= (zlib.crc32(feature.encode()) >> (32 - BITS)) << (slot * BITS)
    return token
