"""WebVTT, SubRip and SBV: one bad block costs no other, and is counted with its line."""

from __future__ import annotations

import pytest

from triptych.producers.subtitles.timed_blocks import ParsedCues, parse_timed_text

S = 1_000_000_000
FIRST = "1\n00:00:01,000 --> 00:00:02,000\nfirst\n\n"
LAST = "00:00:08,000 --> 00:00:09,000\nlast\n"


def spoken(parsed: ParsedCues) -> list[tuple[float, float, str]]:
    """Return start and end in seconds, and the text of each cue."""
    return [(cue.start_ns / S, cue.end_ns / S, cue.text) for cue in parsed.cues]


def skipped_lines(parsed: ParsedCues) -> list[int]:
    """Return the lines at which the skipped blocks begin."""
    return [block.line for block in parsed.skipped]


@pytest.mark.parametrize(
    "times",
    [
        "00:00:01,000 --> 00:00:02,000",
        "00:00:01.000 --> 00:00:02.000",
        "0:0:1,0 --> 0:0:2,0",
        "00:01,000 --> 00:02,000",
        "00:00:01 --> 00:00:02",
        "00:01 --> 00:02",
        "00:00:01:000 --> 00:00:02:000",
        "00 : 00 : 01 , 000 --> 00 : 00 : 02 , 000",
        "00:00:01,000-->00:00:02,000",
        "00:00:01,000 -> 00:00:02,000",
        "00:00:01,000 -- > 00:00:02,000",
        "00:00:01,000 \u2014> 00:00:02,000",
        "00:00:01,000 \u2192 00:00:02,000",
        "00:00:01,000 --&gt; 00:00:02,000",
        "00:00:01,000 --> 00:00:02,000  X1:117 X2:619 Y1:042 Y2:428",
        "1 00:00:01,000 --> 00:00:02,000",
        "0:00:01.000,0:00:02.000",
        "00:00:01.00,00:00:02.00",
    ],
)
def test_the_times_of_subrip_are_read_as_people_type_them(times: str) -> None:
    """Without hours or milliseconds, with other arrows and separators."""
    parsed = parse_timed_text(f"1\n{times}\nfirst\n\n2\n{LAST}")

    assert spoken(parsed) == [(1, 2, "first"), (8, 9, "last")]
    assert parsed.skipped == ()


def test_a_text_with_empty_lines_stays_whole() -> None:
    """In SubRip, a cue lasts until the next one."""
    parsed = parse_timed_text("1\n00:00:01,000 --> 00:00:02,000\n\nHi,\n\nBob\n\n2\n" + LAST)

    assert spoken(parsed) == [(1, 2, "Hi,\nBob"), (8, 9, "last")]


@pytest.mark.parametrize(
    ("bad", "line"),
    [
        ("2\n00:00:xx,000 --> 00:00:04,000\nlost\n\n3\n", 6),
        ("2\nlost\n\n3\n", 5),
        ("2\n-->\nlost\n\n", 6),
        ("00:00:03,000 --> soon\nlost\n", 5),
    ],
)
def test_a_bad_block_of_subrip_costs_no_other(bad: str, line: int) -> None:
    """Neither its times nor its words become words of the cue before."""
    parsed = parse_timed_text(FIRST + bad + LAST)

    assert spoken(parsed) == [(1, 2, "first"), (8, 9, "last")]
    assert skipped_lines(parsed) == [line]


@pytest.mark.parametrize("separator", ["\n", "\r\n", "\r", "\n\n"])
def test_all_line_ends_are_read(separator: str) -> None:
    """Those of Windows, of old Macs, and those that an editor has doubled."""
    parsed = parse_timed_text((FIRST + "2\n" + LAST).replace("\n", separator))

    assert spoken(parsed) == [(1, 2, "first"), (8, 9, "last")]


def test_a_text_that_is_a_number_is_no_number_of_a_cue() -> None:
    """With and without numbers, and without empty lines."""
    assert spoken(parse_timed_text("1\n00:00:01,000 --> 00:00:02,000\n42\n\n2\n" + LAST))[0][2] == "42"
    assert spoken(parse_timed_text("00:00:01,000 --> 00:00:02,000\n42\n\n" + LAST))[0][2] == "42"
    assert spoken(parse_timed_text("1\n00:00:01,000 --> 00:00:02,000\nA\n2\n" + LAST))[0][2] == "A"


def test_comments_nulls_and_markup_are_no_words() -> None:
    """Comments of WebVTT in SubRip, a NUL, tags and entities, and the markup of ASS."""
    text = FIRST.replace("first", "{\\an8}<i>fi\0rst</i> &amp;") + "NOTE a comment\nof two lines\n\n2\n" + LAST

    assert spoken(parse_timed_text(text)) == [(1, 2, "first &"), (8, 9, "last")]
    assert parse_timed_text(text).skipped == ()


def test_what_stands_before_the_first_cue_is_counted() -> None:
    """By paragraph."""
    assert skipped_lines(parse_timed_text("made by Bob\n\n# a comment\n# of two lines\n\n" + FIRST)) == [1, 3]


def test_webvtt_is_read_as_its_specification_says() -> None:
    """A block without times, with other arrows or with wrong times is skipped; the next one is read."""
    text = (
        "\ufeffWEBVTT - words\nX-TIMESTAMP-MAP=MPEGTS:900000,LOCAL:00:00:00.000\n\n"
        "STYLE\n::cue {}\n\nNOTE a comment\n\na comment without NOTE\n\n"
        "id\n00:01.000 --> 00:02.000 align:start\n<v Bob>one\n00:00:03.000 --> 00:04.000\ntwo\n\n"
        "00:00:04.500 -> 00:00:05.000\nlost\n\n00:99.000 --> 00:07.000\nlost\n\n00:00:08,000 --> 00:00:09,000\nlast\n"
    )

    parsed = parse_timed_text(text)

    assert spoken(parsed) == [(1, 2, "one"), (3, 4, "two"), (8, 9, "last")]
    assert skipped_lines(parsed) == [9, 17, 20]
    assert parsed.header == ("WEBVTT - words", "X-TIMESTAMP-MAP=MPEGTS:900000,LOCAL:00:00:00.000")


def test_a_second_paragraph_of_webvtt_is_skipped() -> None:
    """An empty line ends a cue of WebVTT."""
    parsed = parse_timed_text(
        "WEBVTT\n\n00:01.000 --> 00:02.000\nfirst\n\nmore of it\n\n00:08.000 --> 00:09.000\nlast\n"
    )

    assert spoken(parsed) == [(1, 2, "first"), (8, 9, "last")]
    assert skipped_lines(parsed) == [6]


def test_a_cue_without_text_is_valid() -> None:
    """It clears the screen."""
    parsed = parse_timed_text("WEBVTT\n\n00:01.000 --> 00:02.000\n \n\n00:03.000 --> 00:04.000\n<i></i>\n")

    assert (parsed.cues, parsed.skipped) == ((), ())
    assert [block.line for block in parsed.blank] == [3, 6]


@pytest.mark.parametrize("text", ["", "\n\n", "\ufeff", "WEBVTT"])
def test_an_empty_text_has_no_blocks(text: str) -> None:
    """Neither cues nor faults."""
    parsed = parse_timed_text(text)

    assert (parsed.cues, parsed.skipped, parsed.blank) == ((), (), ())


@pytest.mark.parametrize("number", ["\x1d2", "\u0662", "9" * 5_000])
def test_strange_numbers_of_cues_are_no_fault(number: str) -> None:
    """Characters that count as spaces or digits, and too many of them."""
    parsed = parse_timed_text(f"{FIRST}{number}\n{LAST}")

    assert spoken(parsed)[-1] == (8, 9, "last")


@pytest.mark.timeout(20)
@pytest.mark.parametrize("line", ["1 : 2 " * 20_000, "00:00:01,000 --> 00:00:02,000 " + "a:b" * 5_000 + " !"])
def test_long_lines_are_read_in_linear_time(line: str) -> None:
    """Whatever they hold."""
    assert spoken(parse_timed_text(f"{FIRST}{line}\nHi\n\n{LAST}"))[-1] == (8, 9, "last")
