"""Find the sidecar subtitles of a media file by their names, as Plex, Jellyfin, Bazarr and Radarr write them.

A name is that of the media file, followed by a language and flags: `film.en.hi.srt`, `film.pt-BR.forced.srt`,
`film.English.sdh.ass`. A folder `Subs` may hold them too, there also as `2_English.srt`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from triptych.producers.subtitles.language import language_named, language_of, same_language
from triptych.schemas.languages import UNKNOWN_LANGUAGES

SUFFIXES: Final = (
    ".srt", ".vtt", ".ass", ".ssa", ".ttml", ".dfxp", ".itt", ".sbv", ".smi", ".sami", ".scc", ".sub", ".mpl2"
)  # fmt: skip
_MEDIA_SUFFIXES: Final = (
    ".mkv", ".mp4", ".m4v", ".mov", ".avi", ".ts", ".m2ts", ".mts", ".webm", ".wmv", ".flv", ".mpg", ".mpeg", ".ogv",
    ".3gp", ".mka", ".mp3", ".flac", ".m4a", ".wav"
)  # fmt: skip
_FOLDERS: Final = frozenset({"subs", "sub", "subtitles", "subtitle"})
_FLAGS: Final = {"sdh": "sdh", "cc": "cc", "hi": "hi", "forced": "forced", "foreign": "forced", "default": "default"}
_HEARING: Final = frozenset({"sdh", "cc", "hi"})
_SEPARATORS: Final = re.compile(r"[.\s_()\[\],]+|(?<!\w)-|-(?=sdh|cc|hi|forced|default)", re.IGNORECASE)
_MIN_SIMILAR: Final = 4
_RELEASE_NAME: Final = re.compile(r"\d{1,3}[_. -]+(?P<rest>.+)")


@dataclass(frozen=True, slots=True)
class Sidecar:
    """A subtitle file beside a media file.

    Attributes:
        path: the file.
        language: the language tag in its name; None where it states none.
        flags: `forced`, `default`, and for hard-of-hearing viewers `sdh`, `cc` or `hi`.
    """

    path: Path
    language: str | None
    flags: frozenset[str]


@dataclass(frozen=True, slots=True)
class Sidecars:
    """The subtitle files beside a media file.

    Attributes:
        found: those that belong to it, the best first.
        near_misses: those that almost have its name, with the reason why they were not taken.
    """

    found: tuple[Sidecar, ...]
    near_misses: tuple[tuple[Path, str], ...]


def find_sidecars(media: Path, wanted: str) -> Sidecars:
    """Return the sidecars of a media file: in the wanted language, else without a language, else any."""
    siblings = _files(media.parent)
    others = [_folded(path.stem) for path in siblings if path.suffix.lower() in _MEDIA_SUFFIXES and path != media]
    found: list[Sidecar] = []
    missed: list[tuple[Path, str]] = []
    for path, may_omit_name in _candidates(media, siblings, is_alone=not others):
        words = _words_after_name(path, media, others, may_omit_name=may_omit_name)
        sidecar = None if words is None else _sidecar(path, words)
        if sidecar is not None:
            found.append(sidecar)
        elif words is not None:
            missed.append((path, f"expected a language or a flag after the name, got {' '.join(words)!r}"))
        elif not _belongs_to(_folded(path.stem), others) and _is_similar(path, media, is_alone=not others):
            missed.append((path, f"expected a name that begins with {media.stem!r}"))
    return Sidecars(tuple(sorted(found, key=lambda sidecar: _rank(sidecar, wanted))), tuple(missed))


def language_in_name(path: Path) -> str | None:
    """Return the language tag in a name such as `film.en.srt` or `film.en.hi.srt`."""
    words = path.stem.split(".")[1:]
    while words and (words[-1].lower() in _FLAGS or words[-1].isdecimal()):
        if words[-1].lower() == "hi" and (len(words) == 1 or _language_of_word(words[-2]) is None):
            return words[-1]
        words.pop()
    return _language_of_word(words[-1]) if words else None


def _candidates(media: Path, siblings: Iterable[Path], *, is_alone: bool) -> Iterator[tuple[Path, bool]]:
    """Yield the subtitle files near a media file, and whether their names may leave out that of the media file."""
    for path in siblings:
        if path != media and path.suffix.lower() in SUFFIXES:
            yield path, False
    for folder in _folders(media.parent):
        if _folded(folder.name) not in _FOLDERS:
            continue
        for path in _files(folder):
            if path.suffix.lower() in SUFFIXES:
                yield path, is_alone
        for inner in _folders(folder):
            if _folded(inner.name) == _folded(media.stem):
                yield from ((path, True) for path in _files(inner) if path.suffix.lower() in SUFFIXES)


def _words_after_name(path: Path, media: Path, others: Iterable[str], *, may_omit_name: bool) -> list[str] | None:
    """Return the words that follow the media file's name; None where the name is another one."""
    name, wanted = _folded(path.stem), _folded(media.stem)
    if name.startswith(wanted) and not _belongs_to(name, [other for other in others if len(other) > len(wanted)]):
        rest = unicodedata.normalize("NFC", path.stem)[len(unicodedata.normalize("NFC", media.stem)) :]
        return _words(rest) if not rest or not rest[0].isalnum() else None
    if not may_omit_name:
        return None
    release = _RELEASE_NAME.fullmatch(path.stem)
    words = _words(release["rest"] if release is not None else path.stem)
    return words if _sidecar(path, words) is not None else None


def _sidecar(path: Path, words: Iterable[str]) -> Sidecar | None:
    """Return the sidecar of these words; None where one of them is neither a language, a flag nor a number."""
    languages: list[str | None] = []
    flags = set()
    unknown = numbers = 0
    for word in words:
        lower = word.lower()
        if lower in _FLAGS:
            flags.add(_FLAGS[lower])
        elif lower in UNKNOWN_LANGUAGES:
            languages.append(None)
        elif (language := _language_of_word(word)) is not None:
            languages.append(language)
        elif word.isdecimal():
            numbers += 1
        else:
            unknown += 1
    if "hi" in flags and not languages:
        flags.remove("hi")
        languages.append("hi")  # Hindi, where no other language is stated
    if unknown or len(languages) > 1 or (numbers and not languages):
        return None
    return Sidecar(path, languages[0] if languages else None, frozenset(flags))


def _language_of_word(word: str) -> str | None:
    return language_named(word) or language_of(word)


def _words(text: str) -> list[str]:
    return [word for word in _SEPARATORS.split(text) if word]


def _rank(sidecar: Sidecar, wanted: str) -> tuple[bool, bool, bool, bool, bool, int, str]:
    return (
        not same_language(sidecar.language, wanted),
        sidecar.language is not None,
        "forced" in sidecar.flags,
        "default" not in sidecar.flags,
        bool(sidecar.flags & _HEARING),
        SUFFIXES.index(sidecar.path.suffix.lower()),
        sidecar.path.name,
    )


def _belongs_to(name: str, others: Iterable[str]) -> bool:
    return any(name == other or (name.startswith(other) and not name[len(other)].isalnum()) for other in others)


def _is_similar(path: Path, media: Path, *, is_alone: bool) -> bool:
    """Return whether a name was probably meant: the only film of a folder, or names that differ little."""
    one, other = (re.sub(r"\W|_", "", _folded(name)) for name in (path.stem, media.stem))
    return is_alone or (bool(other) and (one.startswith(other) or (len(one) >= _MIN_SIMILAR and other.startswith(one))))


def _folded(name: str) -> str:
    """Return a name for comparison. macOS decomposes letters, and other systems ignore case."""
    return unicodedata.normalize("NFC", name).casefold()


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in _entries(folder) if path.is_file())


def _folders(folder: Path) -> list[Path]:
    return sorted(path for path in _entries(folder) if path.is_dir())


def _entries(folder: Path) -> Iterator[Path]:
    try:
        yield from folder.iterdir()
    except OSError:
        return
