"""Which subtitles a source gets, and what is said of those that were not taken."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from triptych.producers.plans import SourceOptions, plans_for
from triptych.producers.session.playback import Playback
from triptych.schemas.errors import UsageError
from triptych.schemas.records import InputRecord, SubtitleCue

SRT = "1\n00:00:00,100 --> 00:00:00,900\nHi\n\n"
RUSSIAN = "1\n00:00:00,100 --> 00:00:00,900\nПривет\n\n"  # noqa: RUF001

MakeMedia = Callable[..., Path]
Logs = list[dict[str, Any]]


def played(media: Path, **options: Any) -> tuple[list[SubtitleCue], Logs]:  # noqa: ANN401 - any option
    """Play a file; return its cues, and what was logged of its subtitles."""
    (plan,) = plans_for([str(media)], SourceOptions(**options))
    with capture_logs() as logs, Playback(plan) as playback:
        records: Iterable[InputRecord] = [*playback.records(0)]
    cues = [record for record in records if isinstance(record, SubtitleCue)]
    return cues, [dict(log) for log in logs if log["event"].startswith("subtitle")]


def test_the_next_sidecar_is_taken_where_one_is_bad(make_media: MakeMedia) -> None:
    """The bad one is named, with the line at which it went wrong."""
    media = make_media("film.mkv")
    media.with_name("film.en.srt").write_text("hello\n")
    media.with_name("film.en.hi.srt").write_text(SRT)

    cues, logs = played(media)

    assert [(cue.text, cue.language) for cue in cues] == [("Hi", "en")]
    assert [(log["event"], log["file"]) for log in logs] == [
        ("subtitles_skipped", "film.en.srt"),
        ("subtitles_read", "film.en.hi.srt"),
    ]
    assert "line 1: 'hello'" in logs[0]["reason"]
    assert (logs[1]["language"], logs[1]["flags"]) == ("en", ["hi"])


def test_near_misses_are_logged_where_there_is_no_sidecar(make_media: MakeMedia) -> None:
    """With the reason."""
    media = make_media("film.mkv")
    media.with_name("film.2024.srt").write_text(SRT)

    cues, logs = played(media)

    assert cues == []
    assert [(log["event"], log["file"]) for log in logs] == [("subtitles_near_miss", "film.2024.srt")]
    assert "'2024'" in logs[0]["reason"]


def test_skipped_blocks_are_counted_and_the_first_is_shown(make_media: MakeMedia) -> None:
    """With its line."""
    media = make_media("film.mkv")
    media.with_name("film.vtt").write_text("WEBVTT\n\n00:00.100 --> 00:00.900\nHi\n\nsoon --> later\nlost\n\nlost\n")

    cues, logs = played(media)

    assert [cue.text for cue in cues] == ["Hi"]
    skipped = next(log for log in logs if log["event"] == "subtitle_blocks_skipped")
    assert (skipped["blocks"], skipped["first_line"], skipped["text"]) == (2, 6, "soon --> later")


def test_an_assumed_encoding_is_logged_and_a_stated_one_is_not(make_media: MakeMedia) -> None:
    """`--subtitle-encoding` and the language help."""
    media = make_media("film.mkv")
    media.with_name("film.ru.srt").write_bytes(RUSSIAN.encode("koi8_r"))

    cues, logs = played(media)
    stated_cues, stated_logs = played(media, subtitle_encoding="KOI8-R")
    wrong_cues, _ = played(media, subtitle_encoding="cp1252")

    assert [cue.text for cue in cues] == ["Привет"]
    assert [cue.text for cue in stated_cues] == ["Привет"]
    assert [cue.text for cue in wrong_cues] != ["Привет"]
    assert [log["encoding"] for log in logs if log["event"] == "subtitles_encoding_assumed"] == ["koi8_r"]
    assert [log["event"] for log in stated_logs] == ["subtitles_read"]


def test_undecodable_characters_are_counted(make_media: MakeMedia) -> None:
    """Of text that is mostly UTF-8."""
    media = make_media("film.mkv")
    media.with_name("film.srt").write_bytes(SRT.replace("Hi", "Grüße, naïve café").encode().replace(b", n", b"\xff, n"))

    cues, logs = played(media)

    assert [cue.text for cue in cues] == ["Grüße\ufffd, naïve café"]
    assumed = next(log for log in logs if log["event"] == "subtitles_encoding_assumed")
    assert (assumed["encoding"], assumed["undecodable"]) == ("utf-8", 1)


def test_an_unknown_encoding_is_a_usage_error(make_media: MakeMedia) -> None:
    """Before anything is played."""
    with pytest.raises(UsageError, match="--subtitle-encoding"):
        plans_for([str(make_media("film.mkv"))], SourceOptions(subtitle_encoding="klingon"))


def test_rolling_captions_are_said_once(make_media: MakeMedia) -> None:
    """As in files of YouTube."""
    media = make_media("film.mkv")
    media.with_name("film.en.vtt").write_text(
        "WEBVTT\n\n00:00.000 --> 00:00.500\n \nhello\n\n00:00.500 --> 00:00.510\nhello\n \n\n"
        "00:00.510 --> 00:01.000\nhello\nfriends\n\n00:01.000 --> 00:01.010\nfriends\n \n"
    )

    cues, logs = played(media)

    assert [cue.text for cue in cues] == ["hello", "friends"]
    assert logs[0]["repeats"] == 2


def test_what_cannot_be_read_is_counted_for_the_metrics(make_media: MakeMedia) -> None:
    """Skipped blocks and undecodable characters together."""
    media = make_media("film.mkv")
    content = "WEBVTT\n\n00:00.100 --> 00:00.900\nGrüße, naïve café\n\nsoon --> later\nlost\n"
    media.with_name("film.vtt").write_bytes(content.encode().replace(b", n", b"\xff, n"))
    (plan,) = plans_for([str(media)], SourceOptions())

    with Playback(plan) as playback:
        assert playback.losses.text_faults == 2
