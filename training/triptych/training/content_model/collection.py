"""The stamps of Tux Paint as they lie on this machine: pictures with captions in many languages, some with a sound.

The folder that a stamp lies in says what it is about. They are under the GPL, version 2, and stay where they are:
Debian has them as `tuxpaint-stamps-default`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from triptych.schemas.errors import UsageError

STAMPS_FOLDER: Final = Path("/usr/share/tuxpaint/stamps")
LEAST_OF_A_LABEL: Final = 12
"""A folder with fewer pictures is left out: five folds would hold two of it each."""
ENGLISH: Final = "en"
LANGUAGES: Final[Mapping[str, str]] = {
    "ar": "ar", "de": "de", "es": "es", "fr": "fr", "it": "it", "ja": "ja", "ko": "ko", "nl": "nl", "pl": "pl",
    "pt": "pt", "ru": "ru", "th": "th", "tr": "tr", "zh_CN": "zh", "zh_TW": "zh-TW",
}  # fmt: skip
"""The languages of the sentence encoder but English, by the names that the stamps give them."""
_SOUNDS: Final = (".ogg", ".wav")
_LETTERS: Final = re.compile(r"[^\W\d_]+")
_IDLE_WORDS: Final = frozenset({
    "a", "an", "the", "t", "cartoon", "toy", "toys", "photo", "outline", "silo", "profile", "new", "old", "of", "and",
    "red", "green", "blue", "yellow", "black", "white", "brown", "pink", "golden", "small", "little", "big", "asl",
    "zzz", "sign", "filled",
})  # fmt: skip
"""Words of a file's name that tell variants of a motif apart, or tell nothing."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """One stamp.

    Attributes:
        id: its path within the collection, without a suffix.
        label: what it is about.
        motif: stamps of one motif show the same thing in variants.
        captions: by language, English among them.
        picture: a PNG file, which may be transparent.
        sound: a file of what it sounds like, where there is one.
    """

    id: str
    label: str
    motif: str
    captions: Mapping[str, str]
    picture: Path
    sound: Path | None


def read_stamps(folder: Path) -> tuple[Stamp, ...]:
    """Return the stamps of the labels that have enough of them, in the order of their paths.

    Raises:
        UsageError: there are none.
    """
    found = [stamp for text in sorted(folder.rglob("*.txt")) if (stamp := _stamp(text, folder)) is not None]
    counts = Counter(stamp.label for stamp in found)
    kept = [stamp for stamp in found if counts[stamp.label] >= LEAST_OF_A_LABEL]
    if not kept:
        raise UsageError(
            f"{folder}: expected the stamps of Tux Paint, got none; on Debian: apt-get install tuxpaint-stamps-default"
        )
    motifs = _motifs(kept)
    return tuple(replace(stamp, motif=motif) for stamp, motif in zip(kept, motifs, strict=True))


def _stamp(text: Path, folder: Path) -> Stamp | None:
    """Return the stamp that a file of captions belongs to; None without a picture, of which there are drawings only."""
    path = text.relative_to(folder)
    captions = _captions(text)
    picture = text.with_suffix(".png")
    if len(path.parts) < len(("label", "file")) or not captions or not picture.is_file():
        return None
    sounds = (text.with_suffix(suffix) for suffix in _SOUNDS)
    sound = next((sound for sound in sounds if sound.is_file()), None)
    return Stamp(path.with_suffix("").as_posix(), path.parts[0], "", captions, picture, sound)


def _captions(text: Path) -> dict[str, str]:
    """Return the captions of a file: the first line is English, the others say their language."""
    first, *others = text.read_text(encoding="utf-8", errors="replace").splitlines() or [""]
    captions = {ENGLISH: first.strip()} if first.strip() else {}
    for line in others:
        language, _, caption = line.partition("=")
        name = LANGUAGES.get(language.removesuffix(".utf8"))
        if name is not None and caption.strip() and captions:
            captions[name] = caption.strip()
    return captions


def _motifs(stamps: Sequence[Stamp]) -> list[str]:
    """Return the motif of each stamp: those are of one that share a caption, or the first or last word of their name.

    So an apple of any sort is one motif, and a test never asks for a variant of what was learnt. A motif is called by
    the first stamp of it: folds and the cache depend on the name.
    """
    parents = list(range(len(stamps)))

    def root(place: int) -> int:
        while parents[place] != place:
            parents[place] = parents[parents[place]]
            place = parents[place]
        return place

    first_with: dict[tuple[str, str], int] = {}
    for place, stamp in enumerate(stamps):
        for key in _keys(stamp):
            first, other = sorted((root(place), root(first_with.setdefault(key, place))))
            parents[other] = first
    return [stamps[root(place)].id for place in range(len(stamps))]


def _keys(stamp: Stamp) -> Iterator[tuple[str, str]]:
    yield "caption", _plain(stamp.captions[ENGLISH])
    words = _words(stamp.id.rpartition("/")[2])
    telling = [word for word in words if word not in _IDLE_WORDS] or words[-1:]
    telling = [word for word in telling if len(word) > 1] or telling
    for word in {telling[0], telling[-1]} if telling else ():
        yield stamp.label, word


def _words(name: str) -> list[str]:
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    return [word.lower() for word in _LETTERS.findall(spaced.replace("_", " "))]


def _plain(caption: str) -> str:
    return " ".join(word for word in _LETTERS.findall(caption.lower()) if word not in _IDLE_WORDS) or caption.lower()


def label_names(stamps: Iterable[Stamp]) -> tuple[str, ...]:
    """Return the labels, sorted."""
    return tuple(sorted({stamp.label for stamp in stamps}))
