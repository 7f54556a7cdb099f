"""Utterances are transcribed in a thread, behind a bounded queue."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from triptych.producers.speech.transcription_thread import BACKLOG_NS, TranscriptionThread
from triptych.producers.speech.utterances import Utterance
from triptych.producers.subtitles.cue import Cue

S = 1_000_000_000


def utterance(start_s: int, length_s: int = 5) -> Utterance:
    """Return an utterance of silence."""
    return Utterance(start_s * S, np.zeros(length_s * 16_000, np.int16))


class BlockingRecogniser:
    """Transcribe each utterance when allowed to, as the second at which it begins."""

    def __init__(self) -> None:
        self.allowed = threading.Semaphore(0)
        self.begun = threading.Semaphore(0)

    def __call__(self, utterance: Utterance) -> tuple[Cue, ...]:
        """Block until allowed."""
        self.begun.release()
        assert self.allowed.acquire(timeout=30)
        return (Cue(utterance.start_ns, utterance.end_ns, str(utterance.start_ns // S)),)


@pytest.fixture
def recogniser() -> BlockingRecogniser:
    """Return a recogniser that blocks."""
    return BlockingRecogniser()


@pytest.fixture
def transcription(recogniser: BlockingRecogniser) -> Iterator[TranscriptionThread]:
    """Return a transcription thread, which is closed after the test."""
    transcription = TranscriptionThread(recogniser)
    yield transcription
    recogniser.allowed.release(100)
    transcription.close()


def texts(transcription: TranscriptionThread) -> list[str]:
    """Take the texts of all finished utterances."""
    return [cue.text for transcribed in iter(transcription.take, None) for cue in transcribed.cues]


def test_an_utterance_is_pending_until_it_is_taken(
    transcription: TranscriptionThread, recogniser: BlockingRecogniser
) -> None:
    """While it is queued, being transcribed, or finished."""
    assert transcription.earliest_pending_ns is None
    transcription.put(utterance(3), wait=True)
    transcription.put(utterance(9), wait=True)
    assert transcription.earliest_pending_ns == 3 * S
    recogniser.allowed.release(2)
    transcription.drain(30)
    assert transcription.earliest_pending_ns == 3 * S
    assert transcription.take() is not None
    assert transcription.earliest_pending_ns == 9 * S
    assert texts(transcription) == ["9"]
    assert transcription.earliest_pending_ns is None


def test_a_live_feed_drops_the_oldest_utterance_and_counts_it(
    transcription: TranscriptionThread, recogniser: BlockingRecogniser
) -> None:
    """It never blocks."""
    transcription.put(utterance(0), wait=False)
    assert recogniser.begun.acquire(timeout=30)
    for start_s in range(10, 60, 10):
        transcription.put(utterance(start_s), wait=False)
    assert transcription.dropped_ns == 5 * 5 * S - BACKLOG_NS
    recogniser.allowed.release(10)
    transcription.drain(30)
    assert texts(transcription) == ["0", "30", "40", "50"]


def test_a_file_waits_for_room(transcription: TranscriptionThread, recogniser: BlockingRecogniser) -> None:
    """Nothing is dropped."""
    transcription.put(utterance(0), wait=True)
    assert recogniser.begun.acquire(timeout=30)
    for start_s in (10, 20, 30):
        transcription.put(utterance(start_s), wait=True)
    waiting = threading.Thread(target=lambda: transcription.put(utterance(40), wait=True))
    waiting.start()
    assert waiting.is_alive()
    recogniser.allowed.release(10)
    waiting.join(30)
    transcription.drain(30)
    assert texts(transcription) == ["0", "10", "20", "30", "40"]
    assert transcription.dropped_ns == 0


def test_what_is_not_transcribed_within_the_timeout_is_dropped(
    transcription: TranscriptionThread, recogniser: BlockingRecogniser
) -> None:
    """Including the utterance that is being transcribed, because its session is over."""
    transcription.put(utterance(0), wait=False)
    assert recogniser.begun.acquire(timeout=30)
    transcription.put(utterance(10), wait=False)
    transcription.drain(0.01)
    assert transcription.dropped_ns == 10 * S
    assert transcription.earliest_pending_ns is None
    transcription.put(utterance(20), wait=False)
    recogniser.allowed.release(2)
    transcription.drain(30)
    assert texts(transcription) == ["20"]


@pytest.mark.parametrize("fails_at", ["prepare", "recognise"])
def test_an_error_in_the_thread_is_raised_by_take(fails_at: str) -> None:
    """Nobody blocks on a thread that has ended."""

    def fail(*_: object) -> tuple[Cue, ...]:
        raise ValueError("no such network")

    nothing: Callable[..., tuple[Cue, ...]] = lambda *_: ()  # noqa: E731 - as short as it is
    transcription = TranscriptionThread(
        fail if fails_at == "recognise" else nothing, fail if fails_at == "prepare" else None
    )  # type: ignore[arg-type]
    for start_s in range(0, 100, 10):
        transcription.put(utterance(start_s), wait=True)
    transcription.drain(None)
    with pytest.raises(ValueError, match="no such network"):
        transcription.take()
    transcription.close()
