"""Cut text in any language into words without a vocabulary: what a word is made of is hashed.

Scripts that leave no space between words (Chinese, Japanese, Thai) are cut into characters, each seen with its
neighbours. A word keeps its whole, its beginning and its end, so that unknown forms of a known word are half known.
"""

from __future__ import annotations

import re
import unicodedata
import zlib
from collections.abc import Sequence

SLOTS = 3
BITS = 20
"""A token is one number: three hashes of so many bits, side by side, below a bit that is always set."""
PRESENT = 1 << (SLOTS * BITS)
_EDGE_CHARACTERS = 3
# Runs of letters and digits; single characters of scripts without spaces; any other sign alone.
_UNSPACED = (
    "\u0e00-\u0eff\u1780-\u17ff\u1000-\u109f\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
_PIECES = re.compile(rf"[{_UNSPACED}]|[^\W_{_UNSPACED}]+|[^\w\s]|_")
_IS_UNSPACED = re.compile(rf"[{_UNSPACED}]")
START = "\x02"
END = "\x03"


def hash_words(text: str) -> list[int]:
    """Return the tokens of one cue, between a token that starts it and one that ends it."""
    pieces = [START, *split_words(text), END]
    return [_token(pieces, place) for place in range(len(pieces))]


def split_words(text: str) -> list[str]:
    """Return the words of a cue as they are read."""
    words: list[str] = _PIECES.findall(unicodedata.normalize("NFKC", text).casefold())
    return words


def _token(pieces: Sequence[str], place: int) -> int:
    piece = pieces[place]
    if _IS_UNSPACED.match(piece):
        features = (piece, f"{pieces[place - 1]}{piece}", f"{piece}{pieces[place + 1]}")
    else:
        features = (piece, f"^{piece[:_EDGE_CHARACTERS]}", f"{piece[-_EDGE_CHARACTERS:]}$")
    token = PRESENT
    for slot, feature in enumerate(features):
        token |= (zlib.crc32(feature.encode()) >> (32 - BITS)) << (slot * BITS)
    return token
