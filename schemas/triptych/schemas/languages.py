"""Normalize language tags: `en`, `eng` and `en-GB` are the same language."""

from __future__ import annotations

from typing import Final

UNKNOWN_LANGUAGES: Final = frozenset({"und", "mis", "mul", "zxx", "unk"})

# ISO 639-1, ISO 639-2/T and, where it differs, ISO 639-2/B of common subtitle languages.
_CODES: Final = (
    "ar ara,bg bul,bn ben,ca cat,cs ces cze,da dan,de deu ger,el ell gre,en eng,es spa,et est,eu eus baq,fa fas per,"
    "fi fin,fr fra fre,gl glg,he heb,hi hin,hr hrv,hu hun,id ind,is isl ice,it ita,ja jpn,ka kat geo,"
    "ko kor,lt lit,lv lav,mk mkd mac,ms msa may,nb nob,nl nld dut,no nor,pl pol,pt por,ro ron rum,ru rus,"
    "sk slk slo,sl slv,sq sqi alb,sr srp,sv swe,ta tam,te tel,th tha,tr tur,uk ukr,ur urd,vi vie,zh zho chi"
)
_SHORT: Final = {code: group.split()[0] for group in _CODES.split(",") for code in group.split()}


def language_code(tag: str) -> str:
    """Return the shortest ISO 639 code of a language tag, without region or script."""
    primary = tag.lower().partition("-")[0]
    return _SHORT.get(primary, primary)
