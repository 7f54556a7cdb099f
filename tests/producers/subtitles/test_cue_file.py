"""Cue files: finding, reading, and errors."""

from __future__ import annotations

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
    """What is not Unicode is read as Windows-1252, the encoding of most old files."""
    path = tmp_path / "a.srt"
    path.write_bytes("1\n00:00:01,000 --> 00:00:02,000\nDéjà vu\n\n".encode(encoding))

    assert [cue.text for cue in read_cue_file(path, None).cues] == ["Déjà vu"]


def test_a_cue_without_a_duration_lasts_until_the_next(tmp_path: Path) -> None:
    """Or for the reading time of a line."""
    path = tmp_path / "a.srt"
    path.write_text("1\n00:00:01,000 --> 00:00:01,000\nA\n\n2\n00:00:02,000 --> 00:00:02,000\nB\n\n")

    assert [(cue.start_ns, cue.end_ns) for cue in read_cue_file(path, None).cues] == [(S, 2 * S), (2 * S, 5 * S)]


@pytest.mark.parametrize("content", [b"", b"hello\n", bytes(range(256)) * 10, b"1\n00:00:01,000 --> 00:00:02,000\n\n"])
def test_a_file_without_cues_is_a_usage_error(tmp_path: Path, content: bytes) -> None:
    """The message is one line with the file's name."""
    path = tmp_path / "a.srt"
    path.write_bytes(content)

    with pytest.raises(UsageError, match=r"a\.srt: expected cues"):
        read_cue_file(path, None).cues


def test_a_missing_file_is_a_usage_error(tmp_path: Path) -> None:
    """The message is one line with the reason."""
    with pytest.raises(UsageError, match=r"no\.srt: cannot be read"):
        read_cue_file(tmp_path / "no.srt", None)
