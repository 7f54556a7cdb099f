"""Compare the language tags of media files, which have three spellings: `en`, `eng` and `en-GB`."""

from __future__ import annotations

import re
from typing import Final

from triptych.schemas.languages import UNKNOWN_LANGUAGES, language_code

DEFAULT_LANGUAGE: Final = "eng"

_TAG: Final = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8})*")

_NAMES: Final = (
    "ar arabic,bg bulgarian,bn bengali,ca catalan,cs czech,da danish,de german,el greek,en english,es spanish,"
    "et estonian,eu basque,fa persian farsi,fi finnish,fr french,gl galician,he hebrew,hi hindi,hr croatian,"
    "hu hungarian,id indonesian,is icelandic,it italian,ja japanese,ka georgian,ko korean,lt lithuanian,lv latvian,"
    "mk macedonian,ms malay,nl dutch,no norwegian,pl polish,pt portuguese,pt-BR brazilian pob pb,ro romanian,"
    "ru russian,sk slovak,sl slovenian,sq albanian,sr serbian,sv swedish,ta tamil,te telugu,th thai,tr turkish,"
    "uk ukrainian,ur urdu,vi vietnamese,zh chinese zhs chs,zh-TW zht cht,es-419 ea"
)
_NAMED: Final = {name: group.split()[0] for group in _NAMES.split(",") for name in group.split()[1:]}


def language_of(tag: str | None) -> str | None:
    """Return a file's tag unchanged where it names a language, else None."""
    if tag is None or not _TAG.fullmatch(tag) or tag.lower() in UNKNOWN_LANGUAGES:
        return None
    return tag


def same_language(one: str | None, other: str | None) -> bool:
    """Return whether two tags name the same language. Spelling and region do not count."""
    return one is not None and other is not None and language_code(one) == language_code(other)


def language_named(name: str) -> str | None:
    """Return the tag of a language that is written as its English name, or as subtitle sites abbreviate it."""
    return _NAMED.get(name.casefold())
