"""Cue files: finding, reading, and errors."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from triptych.producers.subtitles.cue_file import read_cue_file
from triptych.schemas.errors import UsageError

SRT = "1\n00:00:01,000 --> 00:00:02,500\n<i>Hi</i> there,\nBob\n\n2\n00:00:03,000 --> 00:00:04,000\nWell &amp; good\n\n"
VTT = "WEBVTT\n\n00:01.000 --> 00:02.500\n<v Bob>Hi there,\nBob\n\n00:03.000 --> 00:04.000\nWell &amp; good\n\n"
ASS = """[Script Info]
ScriptType: v4.00+

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
Dialogue: 0,0:00:03.00,0:00:04.00,Default,,0,0,0,,Well & good
Dialogue: 0,0:00:01.00,0:00:02.50,Default,,0,0,0,,{\\i1}Hi{\\i0} there,\\NBob
"""
S = 1_000_000_000


@pytest.mark.parametrize(("name", "content"), [("a.srt", SRT), ("a.vtt", VTT), ("a.ass", ASS)])
def test_all_three_formats_give_the_same_cues(tmp_path: Path, name: str, content: str) -> None:
    """Plain text, exact times, ordered by start."""
    path = tmp_path / name
    path.write_text(content)

    cues = read_cue_file(path, "eng").cues

    assert [(cue.start_ns, cue.end_ns, cue.text) for cue in cues] == [
        (S, 2_500_000_000, "Hi there,\nBob"),
        (3 * S, 4 * S, "Well & good"),
    ]
    assert {cue.language for cue in cues} == {"eng"}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_common_encodings_are_read(tmp_path: Path, encoding: str) -> None:
    """Unicode, and the letters of a language in an older encoding."""
    path = tmp_path / "a.srt"
    path.write_bytes("1\n00:00:01,000 --> 00:00:02,000\nDéjà vu\n\n".encode(encoding))

    assert [cue.text for cue in read_cue_file(path, None).cues] == ["Déjà vu"]


def test_a_cue_without_a_duration_lasts_until_the_next(tmp_path: Path) -> None:
    """Or for the reading time of a line."""
    path = tmp_path / "a.srt"
    path.write_text("1\n00:00:01,000 --> 00:00:01,000\nA\n\n2\n00:00:02,000 --> 00:00:02,000\nB\n\n")

    assert [(cue.start_ns, cue.end_ns) for cue in read_cue_file(path, None).cues] == [(S, 2 * S), (2 * S, 5 * S)]


MICRODVD = "{1}{1}25\n{25}{50}Hi|there\nbad\n{75}{100}{y:i}ho\n"
MPL2 = "[10][20]Hi|there\nbad\n[30][40]/ho\n"
SAMI = "<SAMI><BODY>\n<SYNC Start=1000><P>Hi<br>there\n<SYNC Start=2000><P>&nbsp;\n<SYNC Start=3000><P>ho\n</SAMI>"
SBV = "0:00:01.000,0:00:02.000\nHi\nthere\n\n0:00:03.000,0:00:04.000\nho\n"
TTML = """<?xml version="1.0" encoding="UTF-8"?>
<tt xmlns="http://www.w3.org/ns/ttml" xmlns:ttp="http://www.w3.org/ns/ttml#parameter" ttp:frameRate="25" xml:lang="en">
<body begin="1s"><div><p begin="0s" end="00:00:01:00">Hi<br/>there</p>
<p begin="soon" end="9s">lost</p>
<p begin="50f" dur="1s"><span>ho</span></p></div></body></tt>
"""
SCC = """Scenarist_SCC V1.0

00:00:01:00\t94ae 94ae 9420 9420 9470 9470 c8e9 942f 942f
bad
00:00:02:00\t942c 942c

00:00:03:00\t94ae 94ae 9420 9420 9470 9470 68ef 942f 942f

00:00:04:00\t942c 942c
"""


@pytest.mark.parametrize(
    ("content", "skipped"),
    [(MICRODVD, [3]), (MPL2, [2]), (SAMI, []), (SBV, []), (TTML, [4])],
    ids=["MicroDVD", "MPL2", "SAMI", "SBV", "TTML"],
)
@pytest.mark.parametrize("name", ["a.srt", "a.vtt", "a.sub"])
def test_a_format_is_known_by_its_content(tmp_path: Path, name: str, content: str, skipped: list[int]) -> None:
    """Not by the suffix. A bad line costs no other."""
    path = tmp_path / name
    path.write_text(content)

    file = read_cue_file(path, None)

    assert [(cue.start_ns, cue.text) for cue in file.cues] == [(S, "Hi\nthere"), (3 * S, "ho")]
    assert [block.line for block in file.skipped] == skipped


def test_scenarist_captions_are_read(tmp_path: Path) -> None:
    """Their times count frames of 30000/1001 Hz, and a bad line costs no other."""
    path = tmp_path / "a.txt"
    path.write_text(SCC)

    file = read_cue_file(path, None)

    assert [(round(cue.start_ns / S), round(cue.end_ns / S), cue.text) for cue in file.cues] == [
        (1, 2, "Hi"),
        (3, 4, "ho"),
    ]
    assert [block.line for block in file.skipped] == [4]


def test_frames_are_counted_at_the_rate_of_the_video(tmp_path: Path) -> None:
    """Where MicroDVD states none."""
    path = tmp_path / "a.sub"
    path.write_text("{50}{100}Hi\n")

    assert read_cue_file(path, None, frame_rate=Fraction(50)).cues[0].start_ns == S


def test_a_bad_line_of_ass_costs_no_other(tmp_path: Path) -> None:
    """It is counted with its line."""
    path = tmp_path / "a.srt"
    path.write_text(ASS.replace("0:00:03.00", "soon"))

    file = read_cue_file(path, None)

    assert [cue.text for cue in file.cues] == ["Hi there,\nBob"]
    assert [(block.line, block.text[:16]) for block in file.skipped] == [(6, "Dialogue: 0,soon")]


@pytest.mark.parametrize(
    ("content", "where"),
    [
        ("hello\nyou\n", "line 1: 'hello': it has no line of times"),
        ("1\n00:00:01,000 --> 00:00:02,000\n\n", "line 2: .*: it has no text"),
        ("WEBVTT\n\nsoon --> later\nHi\n", "line 3: 'soon --> later': its times"),
        ('<tt xmlns="http://www.w3.org/ns/ttml">\n<body>\n</tt>', "line 3: '</tt>': it is not well-formed XML"),
        ("", "found an empty file"),
    ],
)
def test_a_file_without_cues_is_rejected_with_the_line(tmp_path: Path, content: str, where: str) -> None:
    """At which it went wrong."""
    path = tmp_path / "a.srt"
    path.write_text(content)

    with pytest.raises(UsageError, match=where):
        read_cue_file(path, None)


@pytest.mark.parametrize("content", [b"", b"hello\n", bytes(range(256)) * 10, b"1\n00:00:01,000 --> 00:00:02,000\n\n"])
def test_a_file_without_cues_is_a_usage_error(tmp_path: Path, content: bytes) -> None:
    """The message is one line with the file's name."""
    path = tmp_path / "a.srt"
    path.write_bytes(content)

    with pytest.raises(UsageError, match=r"a\.srt: expected cues"):
        read_cue_file(path, None)


def test_a_missing_file_is_a_usage_error(tmp_path: Path) -> None:
    """The message is one line with the reason."""
    with pytest.raises(UsageError, match=r"no\.srt: cannot be read"):
        read_cue_file(tmp_path / "no.srt", None)
