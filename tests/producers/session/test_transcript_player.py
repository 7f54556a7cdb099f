"""Text that is transcribed from the audio of the same source."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from structlog.testing import capture_logs

from tests.producers.text_records import text_records
from triptych.producers.session import player_factory, transcript_player
from triptych.producers.session.playback import Playback
from triptych.producers.session.source_reader import SourceReader
from triptych.producers.sources.playback_plan import PlaybackPlan
from triptych.producers.speech.utterances import STEP_SAMPLES, Utterance
from triptych.producers.subtitles.cue import Cue
from triptych.schemas.records import InputRecord, Progress, SubtitleCue

MS = 1_000_000
S = 1_000_000_000
Play = Callable[..., list[InputRecord]]
RATE = 16_000


def loudness(samples: NDArray[np.float32]) -> list[float]:
    """Return a score for each step, which is speech where it is loud."""
    return [float(min(1.0, 4 * np.abs(step).mean())) for step in samples.reshape(-1, STEP_SAMPLES)]


def transcribe_duration(utterance: Utterance) -> tuple[Cue, ...]:
    """Return two cues whose text is the duration of the utterance in tenths of a second."""
    middle_ns = (utterance.start_ns + utterance.end_ns) // 2
    text = f"{(utterance.end_ns - utterance.start_ns) // (100 * MS)}"
    return (
        Cue(utterance.start_ns, middle_ns, text, "en", generated_by="ear"),
        Cue(middle_ns, utterance.end_ns, f"{text}!", "en", generated_by="ear"),
    )


@pytest.fixture
def transcribe(plan_of: Callable[..., PlaybackPlan], monkeypatch: pytest.MonkeyPatch) -> Play:
    """Return a function that plays a file, transcribed by the two functions above."""
    monkeypatch.setattr(player_factory, "detect_voice", loudness)

    def play(path: Path, **options: Any) -> list[InputRecord]:  # noqa: ANN401 - whatever `PlaybackPlan` has
        plan = plan_of(path, **{"transcribe": "whisper-tiny.en", **options})
        with Playback(plan, recognise=transcribe_duration) as playing:
            return [*playing.records(0), *playing.ends()]

    return play


def speech(*runs: tuple[bool, float]) -> NDArray[np.int16]:
    """Return audio, int16 [1, N], from pairs of whether someone speaks and for how many seconds."""
    return np.concatenate([np.full(round(s * RATE), 12_000 if speaks else 0, np.int16) for speaks, s in runs])[None]


MEDIA = {"frame_ms": tuple(range(0, 20_000, 200)), "samples": speech((False, 4), (True, 3), (False, 8), (True, 5))}


def test_a_transcript_is_a_text_track_marked_as_generated(make_media: Callable[..., Path], transcribe: Play) -> None:
    """With the times of the audio, the language, and the name of the model."""
    records = transcribe(make_media(**MEDIA))
    cues = [record for record in text_records(records) if isinstance(record, SubtitleCue)]

    assert {record.tracks for record in records} == {("video", "audio", "subtitles")}
    assert [cue.text for cue in cues] == ["35", "35!", "52", "52!"]
    assert [round(cue.start_ns / S, 1) for cue in cues] == [3.7, 5.5, 14.8, 17.4]
    assert all(cue.generated and cue.generated_by == "ear" and cue.language == "en" for cue in cues)
    assert [cue.seq for cue in cues] == [0, 1, 2, 3]


def test_in_silence_the_watermark_follows_the_audio(make_media: Callable[..., Path], transcribe: Play) -> None:
    """So no window waits for text while nobody speaks. While somebody does, it waits."""
    text = text_records(transcribe(make_media(**MEDIA)))
    early = [record for record in text if isinstance(record, Progress) and record.start_ns < 4 * S]

    assert len(early) >= 7
    assert all(record.start_ns - record.watermark_ns < 300 * MS for record in early)
    first = next(number for number, record in enumerate(text) if isinstance(record, SubtitleCue))
    assert all(record.watermark_ns <= text[first].start_ns for record in text[:first])
    assert text[-1].watermark_ns >= 20 * S


def test_the_same_file_gives_the_same_transcript(make_media: Callable[..., Path], transcribe: Play) -> None:
    """Whatever the speed of the machine. A loop gives the same cues in each pass."""
    media = make_media(**MEDIA)

    def cues(**options: int) -> list[tuple[int, int, str]]:
        records = text_records(transcribe(media, **options))
        return [(one.start_ns, one.end_ns, one.text) for one in records if isinstance(one, SubtitleCue)]

    once = cues()
    assert cues() == once
    assert cues(loops=2) == once + [(start_ns + 20 * S, end_ns + 20 * S, text) for start_ns, end_ns, text in once]


def test_the_watermark_of_the_transcript_passes_gaps_in_the_audio(
    make_media: Callable[..., Path], transcribe: Play
) -> None:
    """Even if someone was speaking."""
    blocks = np.concatenate([speech((True, 2)), speech((False, 1), (True, 1))], axis=1)
    media = make_media(frame_ms=tuple(range(0, 20_000, 200)), samples=blocks, sound_at_ms=(0, 16_000))
    text = text_records(transcribe(media))

    cues = [record for record in text if isinstance(record, SubtitleCue)]
    assert [cue.text for cue in cues] == ["20", "20!", "12", "12!"]
    assert cues[2].start_ns >= 16_700 * MS
    silent = [record for record in text if isinstance(record, Progress) and record.start_ns < 15 * S]
    assert silent[-1].watermark_ns >= 10 * S


def test_speech_that_is_not_transcribed_is_counted(
    make_media: Callable[..., Path], plan_of: Callable[..., PlaybackPlan], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a live source, which does not wait for a recogniser that is too slow."""
    monkeypatch.setattr(player_factory, "detect_voice", loudness)
    monkeypatch.setattr(SourceReader, "is_live", True)
    monkeypatch.setattr(transcript_player, "LIVE_DRAIN_TIMEOUT_S", 0.0)
    may_go_on = threading.Event()

    def recognise(utterance: Utterance) -> tuple[Cue, ...]:
        may_go_on.wait(30)
        return transcribe_duration(utterance)

    plan = plan_of(make_media(**MEDIA), transcribe="whisper-tiny.en")
    with capture_logs() as logs, Playback(plan, recognise=recognise) as playback:
        list(playback.records(0))
        losses = playback.losses
        may_go_on.set()

    assert round(losses.untranscribed_ns / S) in {8, 9}  # of the 8 s of speech, with the silence around it
    assert [log["speech_s"] for log in logs if log["event"] == "transcription_dropped"] == [
        losses.untranscribed_ns // S
    ]


@pytest.mark.parametrize(("has_cues", "reason"), [(True, "subtitles of its own"), (False, "no audio")])
def test_a_source_with_subtitles_or_without_audio_is_not_transcribed(
    make_media: Callable[..., Path], transcribe: Play, reason: str, *, has_cues: bool
) -> None:
    """This is logged once."""
    media = make_media(**MEDIA) if has_cues else make_media()
    if has_cues:
        media.with_suffix(".srt").write_text("1\n00:00:01,000 --> 00:00:02,000\nwritten\n")
    with capture_logs() as logs:
        records = transcribe(media)

    cues = [record for record in records if isinstance(record, SubtitleCue)]
    assert [(cue.text, cue.generated, cue.generated_by) for cue in cues] == [("written", False, None)] * has_cues
    assert [log["reason"] for log in logs if log["event"] == "transcription_off"] == [f"it has {reason}"]
