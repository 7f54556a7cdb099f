"""The encoding of subtitles: what is certain, what is assumed, and what could not be decoded."""

from __future__ import annotations

import pytest

from triptych.producers.subtitles.encoding import checked_encoding, decode_text
from triptych.schemas.errors import UsageError

TIMES = "1\n00:00:01,000 --> 00:00:02,000\n"
RUSSIAN = "Привет, мир. Как дела?\nЯ не знаю, что тебе сказать.\nПойдём домой, уже поздно."  # noqa: RUF001
CHINESE = "你好世界。\n我不知道该说什么。\n我们回家吧,已经很晚了。"
TAIWANESE = "你好世界。\n我不知道該說什麼。\n我們回家吧,已經很晚了。"
JAPANESE = "こんにちは世界。\n何を言えばいいのかわからない。\nもう遅いから帰ろう。"
KOREAN = "안녕하세요 세계.\n무슨 말을 해야 할지 모르겠어요.\n이제 집에 가자, 늦었어."
GREEK = "Γεια σου, κόσμε.\nΔεν ξέρω τι να πω.\nΠάμε σπίτι."  # noqa: RUF001
ARABIC = "مرحبا بالعالم.\nلا أعرف ماذا أقول.\nلنذهب إلى البيت."  # noqa: RUF001
GERMAN = "Wir müssen gehen."
FRENCH = "Où es-tu passé ?"
POLISH = "Cześć, jak się masz?"
TURKISH = "Merhaba dünya, nasılsın?\nŞimdi eve gidelim."  # noqa: RUF001


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (RUSSIAN, "cp1251"),
        (RUSSIAN, "koi8_r"),
        (RUSSIAN, "cp866"),
        ("Привет, мир", "cp1251"),
        (CHINESE, "gbk"),
        (TAIWANESE, "big5"),
        (JAPANESE, "shift_jis"),
        (JAPANESE, "euc_jp"),
        (JAPANESE, "iso2022_jp"),
        (KOREAN, "cp949"),
        (GREEK, "cp1253"),
        (ARABIC, "cp1256"),
        (GERMAN, "cp1252"),
        (FRENCH, "cp1252"),
        ("Meet me at the café \u2014 it\u2019s \u201cnice\u201d.", "cp1252"),
        (POLISH, "cp1250"),
        (POLISH, "iso8859_2"),
        (TURKISH, "cp1254"),
    ],
)
def test_the_encoding_is_assumed_from_the_letters(text: str, encoding: str) -> None:
    """And that it was assumed is stated."""
    decoded = decode_text((TIMES + text).encode(encoding))

    assert decoded.text == TIMES + text
    assert decoded.assumed_from is not None
    assert decoded.undecodable == 0


@pytest.mark.parametrize(
    ("text", "encoding", "language"),
    [
        ("Привет", "koi8_r", "rus"),
        ("你好世界。", "gb18030", "zh"),
        ("你好世界。", "big5", "zh-TW"),
        ("שלום עולם.", "cp1255", "heb"),
        ("Γεια σου.", "cp1253", "el"),  # noqa: RUF001
        ("สวัสดีชาวโลก", "cp874", "th"),
        ("Ahoj, světe.", "cp1250", "cze"),
        ("Grüße", "cp850", "de"),
    ],
)
def test_a_language_helps_where_a_text_is_short(text: str, encoding: str, language: str) -> None:
    """The name of a file or a flag states it."""
    assert decode_text((TIMES + text).encode(encoding), language=language).text == TIMES + text


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("text", [RUSSIAN, CHINESE, POLISH, "plain"])
def test_unicode_is_read_with_and_without_a_byte_order_mark(text: str, encoding: str) -> None:
    """Every second byte of the times of UTF-16 is zero."""
    decoded = decode_text((TIMES + text).encode(encoding), language="ru")

    assert (decoded.text, decoded.undecodable) == (TIMES + text, 0)


@pytest.mark.parametrize("text", ["Grüße aus Köln, naïve café", RUSSIAN, CHINESE, "déjà"])
def test_mostly_valid_utf_8_stays_utf_8(text: str) -> None:
    """What cannot be decoded is replaced, and counted."""
    decoded = decode_text((TIMES + text).encode() + b" bad \xe9 byte")

    assert decoded.text == f"{TIMES}{text} bad \ufffd byte"
    assert (decoded.encoding, decoded.undecodable) == ("utf-8", 1)
    assert decoded.assumed_from == "mostly valid UTF-8"


def test_a_replacement_character_in_the_text_does_not_count() -> None:
    """Only those that decoding has made."""
    assert decode_text("a\ufffdb".encode()).undecodable == 0


def test_the_stated_encoding_is_not_doubted() -> None:
    """What does not fit it is counted."""
    decoded = decode_text("Привет".encode("koi8_r") + b"\xff", stated="ascii")

    assert (decoded.encoding, decoded.assumed_from, decoded.undecodable) == ("ascii", None, 7)
    assert decode_text("Привет".encode("koi8_r"), stated="koi8_r", language="en").text == "Привет"


def test_xml_states_its_encoding() -> None:
    """Which holds where the text is not UTF-8."""
    text = '<?xml version="1.0" encoding="windows-1251"?><tt>Привет</tt>'

    assert decode_text(text.encode("cp1251")).text == text


@pytest.mark.parametrize("name", ["klingon", "base64", "", "a\0b"])
def test_an_unknown_encoding_is_a_usage_error(name: str) -> None:
    """The message has examples."""
    with pytest.raises(UsageError, match="--subtitle-encoding: expected the name of an encoding such as cp1251"):
        checked_encoding(name)


def test_encodings_have_many_names() -> None:
    """Those of Python, of IANA and of Windows."""
    assert [checked_encoding(name) for name in ("Windows-1251", "UTF8", "Shift_JIS")] == [
        "cp1251",
        "utf-8",
        "shift_jis",
    ]
