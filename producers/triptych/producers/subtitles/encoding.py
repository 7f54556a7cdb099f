"""Find the character encoding of subtitles, and decode them.

What is certain comes first: what the user states, a byte order mark, valid UTF-8. Text that is mostly valid UTF-8 is
damaged UTF-8. For everything else, charset-normalizer assumes an encoding, among those of the language where that is
known. It is weak where few characters are not ASCII, as in Western and Central European languages, so their alphabets
decide between the encodings for those.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass
from typing import Final

from triptych.schemas.errors import UsageError
from triptych.schemas.languages import language_code

_BOMS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # begins like that of UTF-16
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_MAX_SAMPLE: Final = 1 << 16
_MIN_ZEROS: Final = 0.1
"""The share of zero bytes from which a text is UTF-16: its times and line ends alone are more."""

_ISO_2022_JP: Final = (b"\x1b$B", b"\x1b$@", b"\x1b(J")
_XML_ENCODING: Final = re.compile(rb"\s*<\?xml[^>]*\sencoding=[\"'](?P<name>[\w.-]+)[\"']", re.ASCII)
_WESTERN: Final = ("cp1252", "cp850", "mac_roman")
_CENTRAL: Final = ("cp1250", "iso8859_2", "cp852")
_BALTIC: Final = ("cp1257", "iso8859_13")
_CYRILLIC: Final = ("cp1251", "koi8_r", "cp866", "iso8859_5", "mac_cyrillic")
_CHINESE: Final = ("gb18030", "big5hkscs", "big5")
_ENCODINGS: Final = {
    **dict.fromkeys("ca da de en es eu fi fr gl id is it ms nb nl no pt sv".split(), _WESTERN),  # noqa: SIM905 - a list
    **dict.fromkeys(("cs", "hr", "hu", "pl", "ro", "sk", "sl", "sq"), _CENTRAL),
    **dict.fromkeys(("lt", "lv", "et"), _BALTIC),
    **dict.fromkeys(("bg", "be", "mk", "ru"), _CYRILLIC),
    "uk": ("cp1251", "koi8_u", "cp1125", "iso8859_5"),
    "sr": ("cp1250", "cp1251", "iso8859_2", "iso8859_5"),
    "el": ("cp1253", "iso8859_7", "cp737"),
    "tr": ("cp1254", "cp857"),
    "he": ("cp1255", "cp862"),
    "ar": ("cp1256", "iso8859_6"),
    "fa": ("cp1256",),
    "ur": ("cp1256",),
    "vi": ("cp1258",),
    "th": ("cp874",),
    "zh": _CHINESE,
    "ja": ("cp932", "euc_jp"),
    "ko": ("cp949", "johab"),
}
"""The encodings in which subtitles of a language are written, the most common first."""

_WESTERN_LETTERS: Final = "äöüß àâçéèêëîïôœùûü áéíóúüñ¿¡ºª ãáâàçéêíóôõú àèéìòù åäöé æøåé áðéíóúýþæö ëïéèöüó àèéíïòóúüç"
_CENTRAL_LETTERS: Final = "ąćęłńóśźż áčďéěíňóřšťúůýž áäčďéíĺľňóôŕšťúýž áéíóöőúüű ăâîşţ čćđšž"
_LATIN: Final = {
    "cp1252": _WESTERN_LETTERS,
    "cp1250": _CENTRAL_LETTERS,
    "cp1254": "çğıöşüâîû",
    "cp1257": "ąčęėįšųūž āčēģīķļņšūž äöõüšž",
    "iso8859_2": _CENTRAL_LETTERS,
    "cp850": _WESTERN_LETTERS,
    "cp852": _CENTRAL_LETTERS,
}
"""The letters beyond ASCII of each language for which an encoding is used, the most common encoding first."""

_BY_USE: Final = ("cp1251", "koi8_r", "gb18030", "cp932", "big5", "cp949", "cp1253", "cp1255", "cp1256", "cp874")
"""The encodings for which the detector's ranking may be doubted, the most common first."""

_RARE: Final = ("shift_jis_2004", "shift_jisx0213", "euc_jis_2004", "euc_jisx0213", "johab", "hz", "cp1125", "cp1006")

_EQUAL_CHAOS: Final = 0.02
_MARKS: Final = frozenset(
    "\u2018\u2019\u201a\u201c\u201d\u201e\u2013\u2014\u2026\u00ab\u00bb\u2039\u203a\u00b0\u00a0\u20ac\u266a"
)
_MARK_IN_WORD: Final = re.compile(r"\w[\u201a\u201c\u201d\u201e\u2026\u00ab\u00bb\u2039\u203a\u20ac]\w")
_HIRAGANA: Final = ("\u3041", "\u309f")


@dataclass(frozen=True, slots=True)
class DecodedText:
    """Text, and how it was decoded.

    Attributes:
        encoding: the encoding, by Python's name.
        assumed_from: what the encoding was assumed from; None where it is certain.
        undecodable: how many bytes or sequences could not be decoded. Each is now a replacement character.
    """

    text: str
    encoding: str
    assumed_from: str | None = None
    undecodable: int = 0


def decode_text(content: bytes, *, stated: str | None = None, language: str | None = None) -> DecodedText:
    """Return the text of some bytes.

    Args:
        content: the bytes.
        stated: the encoding that the user states.
        language: the language tag that a name or the user states.
    """
    encoding, assumed_from = find_encoding(content, stated=stated, language=language)
    text = content.decode(encoding, "replace")
    known = text.encode(encoding, "ignore").count("\ufffd".encode(encoding)) if encoding.startswith("utf") else 0
    undecodable = text.count("\ufffd") - (known if assumed_from is None and _is_valid(content, encoding) else 0)
    return DecodedText(text.removeprefix("\ufeff"), encoding, assumed_from, undecodable)


def find_encoding(content: bytes, *, stated: str | None = None, language: str | None = None) -> tuple[str, str | None]:
    """Return the encoding of some bytes, and what it was assumed from. See `decode_text`."""
    certain = stated or next((name for bom, name in _BOMS if content.startswith(bom)), None)
    if certain is not None:
        return certain, None
    wide = _utf16_by_zeros(content)
    if wide is not None:
        return wide, "zero bytes"
    if _is_valid(content, "utf-8"):
        is_japanese = any(escape in content for escape in _ISO_2022_JP)
        return ("iso2022_jp", "escape sequences") if is_japanese else ("utf-8", None)
    declared = _XML_ENCODING.match(content)
    if declared is not None and _is_valid(content, declared["name"].decode("ascii")):
        return declared["name"].decode("ascii"), None
    if _is_mostly_utf8(content):
        return "utf-8", "mostly valid UTF-8"
    return _detected(_sample(content), language)


def checked_encoding(name: str) -> str:
    """Return the name of a text encoding.

    Raises:
        UsageError: there is no such encoding.
    """
    try:
        "".encode(name)
    except (LookupError, ValueError):
        raise UsageError(
            f"--subtitle-encoding: expected the name of an encoding such as cp1251, gb18030 or shift_jis, got {name!r}"
        ) from None
    return codecs.lookup(name).name


def _is_valid(content: bytes, encoding: str) -> bool:
    try:
        content.decode(encoding)
    except (LookupError, UnicodeError):
        return False
    return True


def _utf16_by_zeros(content: bytes) -> str | None:
    """Return which UTF-16 a text without a byte order mark is: every second byte of its ASCII characters is zero."""
    sample = content[: _MAX_SAMPLE & ~1]
    even, odd = sample[::2].count(0), sample[1::2].count(0)
    if even + odd < _MIN_ZEROS * len(sample) or min(even, odd) * 10 > max(even, odd):
        return None
    return "utf-16-be" if even > odd else "utf-16-le"


def _is_mostly_utf8(content: bytes) -> bool:
    """Return whether there are at least as many sequences of UTF-8 as bytes that belong to none.

    In text of other encodings, at most half as many pairs of bytes happen to be valid.
    """
    marked = content.decode("utf-8", "surrogateescape")
    invalid = sum("\udc80" <= char <= "\udcff" for char in marked)
    return sum(not char.isascii() for char in marked) - invalid >= invalid


def _sample(content: bytes) -> bytes:
    """Return the lines that are not ASCII. The others would only dilute them."""
    lines = (line for line in content.splitlines() if not line.isascii())
    return b"\n".join(lines)[:_MAX_SAMPLE]


def _detected(sample: bytes, language: str | None) -> tuple[str, str]:
    from charset_normalizer import from_bytes  # noqa: PLC0415 - it takes long to import, and few files need it

    candidates = _candidates(language)
    latin = _latin_encoding(sample, candidates)
    if latin is not None:
        return latin, "its letters"
    if candidates:
        best = from_bytes(sample, cp_isolation=list(candidates)).best()
        return (candidates[0] if best is None else best.encoding), f"the language {language!r}"
    matches = [*from_bytes(sample, cp_exclusion=list(_RARE))]
    if not matches:
        return "cp1252", "nothing: no encoding fits"
    best = matches[0]
    if not best.coherence:  # too short to tell the language
        equal = {match.encoding for match in matches if match.chaos <= best.chaos + _EQUAL_CHAOS}
        common = next((encoding for encoding in _BY_USE if encoding in equal), best.encoding)
        return (_japanese_instead(sample) or common), "its letters"
    return best.encoding, "its letters"


def _candidates(language: str | None) -> tuple[str, ...]:
    if language is None:
        return ()
    code = language_code(language)
    is_traditional = code == "zh" and any(part in language.lower() for part in ("hant", "tw", "hk"))
    return tuple(reversed(_CHINESE)) if is_traditional else _ENCODINGS.get(code, ())


def _latin_encoding(sample: bytes, candidates: tuple[str, ...]) -> str | None:
    """Return the encoding in which all letters belong to the alphabet of one language; None where there is none."""
    for encoding, alphabets in _LATIN.items():
        if (candidates and encoding not in candidates) or not _is_valid(sample, encoding):
            continue
        text = sample.decode(encoding)
        letters = {char for char in text.casefold() if not char.isascii()} - _MARKS
        fits = any(letters <= {*alphabet.casefold(), *alphabet} for alphabet in alphabets.split(" "))
        if fits and not _MARK_IN_WORD.search(text):
            return encoding
    return None


def _japanese_instead(sample: bytes) -> str | None:
    """Return EUC-JP where the text has hiragana in it. The detector takes it for Korean or Chinese, as all fit."""
    if not _is_valid(sample, "euc_jp"):
        return None
    text = sample.decode("euc_jp")
    kana = sum(_HIRAGANA[0] <= char <= _HIRAGANA[1] for char in text)
    return "euc_jp" if kana * 5 > sum(not char.isascii() for char in text) else None
