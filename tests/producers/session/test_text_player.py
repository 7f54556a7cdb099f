"""A text source that stays silent gives way to the next."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from structlog.testing import capture_logs

from tests.producers.session.test_playback import check_contract, remux
from tests.producers.session.test_transcript_player import loudness, speech, transcribe_duration
from tests.producers.text_records import text_records
from triptych.producers.session import player_factory, text_source
from triptych.producers.session.playback import Playback
from triptych.producers.session.text_source import TextCandidate, TextSources
from triptych.producers.sources.playback_plan import PlaybackPlan
from triptych.producers.subtitles.cue import Cue
from triptych.schemas.records import InputRecord, Progress, SubtitleCue

MS = 1_000_000
S = 1_000_000_000
Play = Callable[..., list[InputRecord]]
Sample = Callable[[str], Path]
MakeMedia = Callable[..., Path]
SRT = "1\n00:00:00,500 --> 00:00:01,000\nOne\n\n2\n00:00:07,500 --> 00:00:08,000\nTwo\n\n"
BLANK = "1\n00:00:00,100 --> 00:00:00,200\n<i> </i>\n\n"
ONCE_SPOKEN = BLANK + "2\n00:00:01,000 --> 00:00:02,000\nInside\n\n"
PACKET_BYTES = 188


@pytest.fixture(autouse=True)
def short_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A source gives way after 4 s without a word, a live one that had words after 6 s."""
    monkeypatch.setattr(text_source, "SILENT_NS", 4 * S)
    monkeypatch.setattr(text_source, "LIVE_SILENT_NS", 6 * S)
    monkeypatch.setattr(player_factory, "detect_voice", loudness)


def cues_of(records: list[InputRecord]) -> list[tuple[int, str]]:
    """Return the start in milliseconds and the text of each cue."""
    return [(one.start_ns // MS, one.text) for one in records if isinstance(one, SubtitleCue)]


def film(sample: Sample, folder: Path, inside: str) -> Path:
    """Return 10 s of video and audio with captions, with these cues in a text track instead of the captions."""
    cues = folder / "cues.srt"
    cues.write_text(inside)
    return remux(without_captions(sample("librivox_city_15s.mkv"), folder), folder / "film.mkv", subtitle_file=cues)


def without_captions(media: Path, folder: Path) -> Path:
    """Return the file without its text track."""
    return remux(media, folder / "plain.mkv", with_subtitles=False)


def with_empty_captions(media: Path, target: Path) -> Path:
    """Return the transport stream with captions that say nothing: two null characters in each frame."""
    content = bytearray(media.read_bytes())
    at = content.find(b"GA94\x03")
    while at >= 0:
        count, packet = content[at + 5] & 0x1F, at // PACKET_BYTES
        for triple in range(at + 7, at + 7 + 3 * count, 3):
            if (triple + 2) // PACKET_BYTES == packet:
                content[triple : triple + 3] = b"\xfc\x80\x80" if content[triple] == 0xFC else b"\xfa\x80\x80"
        at = content.find(b"GA94\x03", at + 1)
    target.write_bytes(content)
    return target


def test_a_text_track_without_text_gives_way_to_a_sidecar_file(sample: Sample, play: Play, tmp_path: Path) -> None:
    """From its first cue on, because the watermark of the text waits for the first words. This is logged once."""
    media = film(sample, tmp_path, BLANK)
    media.with_suffix(".srt").write_text(SRT)
    with capture_logs() as logs:
        records = play(media)

    assert cues_of(records) == [(500, "One"), (7_500, "Two")]
    check_contract(records, ("video", "audio", "subtitles"))
    assert [
        (log["silent"], log["silent_s"], log["used_now"]) for log in logs if log["event"] == "subtitles_silent"
    ] == [("text track", 4, "sidecar file")]


def test_a_text_track_with_words_is_kept(sample: Sample, play: Play, tmp_path: Path) -> None:
    """However long it is silent afterwards: a film may be."""
    media = film(sample, tmp_path, ONCE_SPOKEN)
    media.with_suffix(".srt").write_text(SRT)
    with capture_logs() as logs:
        records = play(media)

    assert cues_of(records) == [(1_000, "Inside")]
    assert logs == []
    watermarks = [one.next_ns for one in text_records(records) if isinstance(one, Progress)]
    assert len(watermarks) > 20


def test_captions_that_say_nothing_give_way(sample: Sample, play: Play, tmp_path: Path) -> None:
    """Broadcasters send empty ones in every frame."""
    media = with_empty_captions(sample("sintel_608_10s.ts"), tmp_path / "film.ts")
    media.with_suffix(".srt").write_text(SRT)

    assert cues_of(play(media)) == [(500, "One"), (7_500, "Two")]
    assert cues_of(play(sample("sintel_608_10s.ts")))[0][1] != "One"


def test_a_silent_text_track_gives_way_to_captions(sample: Sample, play: Play, tmp_path: Path) -> None:
    """Those of the first seconds are played too."""
    blank = tmp_path / "blank.srt"
    blank.write_text(BLANK)
    media = remux(sample("sintel_608_10s.ts"), tmp_path / "film.mkv", subtitle_file=blank)
    expected = [text for _, text in cues_of(play(sample("sintel_608_10s.ts")))]

    assert expected
    assert [text for _, text in cues_of(play(media))] == expected


def test_a_film_that_ends_before_its_patience_gives_way_at_its_end(
    sample: Sample, play: Play, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So a clip of a few seconds has its words too."""
    monkeypatch.setattr(text_source, "SILENT_NS", 60 * S)
    media = film(sample, tmp_path, BLANK)
    media.with_suffix(".srt").write_text(SRT)

    records = play(media)
    assert cues_of(records) == [(500, "One"), (7_500, "Two")]
    check_contract(records, ("video", "audio", "subtitles"))


def test_a_silent_text_track_gives_way_to_a_transcript(
    make_media: MakeMedia, plan_of: Callable[..., PlaybackPlan], tmp_path: Path
) -> None:
    """Of the whole audio, from its beginning."""
    sound: NDArray[np.int16] = speech((False, 1), (True, 2), (False, 8), (True, 3))
    blank = tmp_path / "blank.srt"
    blank.write_text(BLANK)
    plain = make_media("plain.mkv", frame_ms=tuple(range(0, 14_000, 200)), samples=sound)
    media = remux(plain, tmp_path / "film.mkv", subtitle_file=blank)

    def transcribed(path: Path) -> list[tuple[int, str]]:
        with Playback(plan_of(path, transcribe="whisper-tiny.en"), recognise=transcribe_duration) as playing:
            return cues_of([*playing.records(0), *playing.ends()])

    assert transcribed(media) == transcribed(plain) != []


def test_in_real_time_the_next_source_begins_where_the_silent_one_gave_way(
    sample: Sample, play: Play, tmp_path: Path
) -> None:
    """Nobody waits a minute for the text of what is shown now."""
    media = film(sample, tmp_path, BLANK)
    media.with_suffix(".srt").write_text(SRT)
    with capture_logs() as logs:
        records = play(media, realtime=True)

    assert cues_of(records) == [(7_500, "Two")]
    assert sum(log["event"] == "subtitles_silent" for log in logs) == 1
    early = [one for one in text_records(records) if isinstance(one, Progress) and one.start_ns < 4 * S]
    assert len(early) >= 6


@pytest.fixture
def three_sources() -> TextSources:
    """Captions, a sidecar file that turns out to be bad, and a transcript."""
    candidates: list[TextCandidate] = [
        TextCandidate("captions", lambda: "captions"),
        TextCandidate("sidecar file", lambda: None),
        TextCandidate("transcript", lambda: "transcribed"),
    ]
    return TextSources(tuple(candidates), stream="feed")


def test_a_live_source_gives_way_after_words_too(three_sources: TextSources) -> None:
    """The captions of a channel may fail for hours. A film's never give way after their first words."""
    three_sources.heard()
    three_sources.silent_ns = 6 * S

    assert not three_sources.is_silent(is_live=False)
    assert three_sources.is_silent(is_live=True)
    three_sources.silent_ns = 5 * S
    assert not three_sources.is_silent(is_live=True)


def test_a_source_that_cannot_be_opened_is_passed_over(three_sources: TextSources) -> None:
    """The last one stays, silent or not."""
    with capture_logs() as logs:
        assert three_sources.give_way("it has yielded no text")
        assert three_sources.kind == "transcript"
        three_sources.silent_ns = 1_000 * S
        assert not three_sources.is_silent(is_live=True)
        assert not three_sources.give_way("it has yielded no text")

    assert [(log["silent"], log["used_now"]) for log in logs] == [("captions", "transcript")]


def test_a_cue_file_is_never_silent() -> None:
    """Its cues are known, wherever they are."""
    cue = Cue(9_000 * S, 9_001 * S, "late")
    sources = TextSources(
        (
            TextCandidate("sidecar file", lambda: (replace(cue, language="en"),)),
            TextCandidate("transcript", lambda: "transcribed"),
        ),
        stream="film",
    )
    sources.silent_ns = 8_000 * S

    assert not sources.is_silent(is_live=False)
    unused: Any = sources.current
    assert unused[0].language == "en"
