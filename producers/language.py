"""Language tags of media files, of which there are three spellings (`en`, `eng`, `en-GB`), made comparable."""

from __future__ import annotations

import re
from typing import Final

DEFAULT_LANGUAGE: Final = "eng"

_TAG: Final = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8})*")
_UNKNOWN: Final = frozenset({"und", "mis", "mul", "zxx", "unk"})

# ISO 639-1, ISO 639-2/T and, where it differs, ISO 639-2/B of the languages that films are subtitled in.
_CODES: Final = (
    "ar ara,bg bul,bn ben,ca cat,cs ces cze,da dan,de deu ger,el ell gre,en eng,es spa,et est,eu eus baq,fa fas per,"
    "fi fin,fr fra fre,gl glg,he heb,hi hin,hr hrv,hu hun,id ind,is isl ice,it ita,ja jpn,ka kat geo,"
    "ko kor,lt lit,lv lav,mk mkd mac,ms msa may,nb nob,nl nld dut,no nor,pl pol,pt por,ro ron rum,ru rus,"
    "sk slk slo,sl slv,sq sqi alb,sr srp,sv swe,ta tam,te tel,th tha,tr tur,uk ukr,ur urd,vi vie,zh zho chi"
)
_CANONICAL: Final = {code: group.split()[1] for group in _CODES.split(",") for code in group.split()}


def language_of(tag: str | None) -> str | None:
    """Return a file's own tag where it names a language, else None."""
    if tag is None or not _TAG.fullmatch(tag) or tag.lower() in _UNKNOWN:
        return None
    return tag


def same_language(one: str | None, other: str | None) -> bool:
    """Return whether two tags name one language, whatever their spelling; regions do not count."""
    return one is not None and other is not None and _canonical(one) == _canonical(other)


def _canonical(tag: str) -> str:
    primary = tag.lower().partition("-")[0]
    return _CANONICAL.get(primary, primary)
