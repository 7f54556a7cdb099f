"""The stamps of Tux Paint on this machine: pictures with captions in many languages, some with a sound.

The top folder of a stamp is its label. The stamps are under GPL version 2 and are not copied; Debian has them in the
package `tuxpaint-stamps-default`.
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
"""Folders with fewer pictures are left out: each of the five folds would have only two."""
ENGLISH: Final = "en"
LANGUAGES: Final[Mapping[str, str]] = {
    "ar": "ar", "de": "de", "es": "es", "fr": "fr", "it": "it", "ja": "ja", "ko": "ko", "nl": "nl", "pl": "pl",
    "pt": "pt", "ru": "ru", "th": "th", "tr": "tr", "zh_CN": "zh", "zh_TW": "zh-TW",
}  # fmt: skip
"""Languages of the sentence encoder other than English, by their names in the caption files."""
_SOUNDS: Final = (".ogg", ".wav")
_LETTERS: Final = re.compile(r"[^\W\d_]+")
_IDLE_WORDS: Final = frozenset({
    "a", "an", "the", "t", "cartoon", "toy", "toys", "photo", "outline", "silo", "profile", "new", "old", "of", "and",
    "red", "green", "blue", "yellow", "black", "white", "brown", "pink", "golden", "small", "little", "big", "asl",
    "zzz", "sign", "filled",
})  # fmt: skip
"""Words in file names that tell variants of a motif apart, or carry no meaning."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """One stamp.

    Attributes:
        id: path in the collection, without suffix.
        label: its subject: the name of its top folder.
        motif: stamps of one motif show variants of the same thing.
        captions: caption by language; English is always there.
        picture: PNG file, possibly transparent.
        sound: audio file, if there is one.
    """

    id: str
    label: str
    motif: str
    captions: Mapping[str, str]
    picture: Path
    sound: Path | None


def read_stamps(folder: Path) -> tuple[Stamp, ...]:
    """Return the stamps whose label has enough of them, sorted by path.

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
    """Return the stamp of a caption file; None without a PNG picture or an English caption."""
    path = text.relative_to(folder)
    captions = _captions(text)
    picture = text.with_suffix(".png")
    if len(path.parts) < len(("label", "file")) or not captions or not picture.is_file():
        return None
    sounds = (text.with_suffix(suffix) for suffix in _SOUNDS)
    sound = next((sound for sound in sounds if sound.is_file()), None)
    return Stamp(path.with_suffix("").as_posix(), path.parts[0], "", captions, picture, sound)


def _captions(text: Path) -> dict[str, str]:
    """Return the captions of a file by language. The first line is English; the others start with `LANGUAGE=`."""
    first, *others = text.read_text(encoding="utf-8", errors="replace").splitlines() or [""]
    captions = {ENGLISH: first.strip()} if first.strip() else {}
    for line in others:
        language, _, caption = line.partition("=")
        name = LANGUAGES.get(language.removesuffix(".utf8"))
        if name is not None and caption.strip() and captions:
            captions[name] = caption.strip()
    return captions


def _motifs(stamps: Sequence[Stamp]) -> list[str]:
    """Return the motif of each stamp. Stamps that share a caption, or a first or last word, share it.

    So all apples are one motif, and no test shows a variant of a training stamp. A motif is named after its first
    stamp, because folds and the cache depend on the name.
    """
    parents = list(range(len(stamps)))

    def root(index: int) -> int:
        while parents[index] != index:
            parents[index] = parents[parents[index]]
            index = parents[index]
        return index

    first_with: dict[tuple[str, str], int] = {}
    for index, stamp in enumerate(stamps):
        for key in _keys(stamp):
            first, other = sorted((root(index), root(first_with.setdefault(key, index))))
            parents[other] = first
    return [stamps[root(index)].id for index in range(len(stamps))]


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
