"""Utterances are turned into cues in a thread, behind a bounded queue."""

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


class Listener:
    """Understand each utterance when told to, as the second at which it begins."""

    def __init__(self) -> None:
        self.allowed = threading.Semaphore(0)
        self.begun = threading.Semaphore(0)

    def __call__(self, utterance: Utterance) -> tuple[Cue, ...]:
        """Wait for the word to go on."""
        self.begun.release()
        assert self.allowed.acquire(timeout=30)
        return (Cue(utterance.start_ns, utterance.end_ns, str(utterance.start_ns // S)),)


@pytest.fixture
def listener() -> Listener:
    """Return one that waits."""
    return Listener()


@pytest.fixture
def scribe(listener: Listener) -> Iterator[TranscriptionThread]:
    """Return a scribe, closed in the end."""
    scribe = TranscriptionThread(listener)
    yield scribe
    listener.allowed.release(100)
    scribe.close()


def texts(scribe: TranscriptionThread) -> list[str]:
    """Take what is done."""
    return [cue.text for heard in iter(scribe.take, None) for cue in heard.cues]


def test_what_is_not_taken_holds_the_promise(scribe: TranscriptionThread, listener: Listener) -> None:
    """Waiting, being understood, or done."""
    assert scribe.earliest_ns is None
    scribe.put(utterance(3), wait=True)
    scribe.put(utterance(9), wait=True)
    assert scribe.earliest_ns == 3 * S
    listener.allowed.release(2)
    scribe.settle(30)
    assert scribe.earliest_ns == 3 * S
    assert scribe.take() is not None
    assert scribe.earliest_ns == 9 * S
    assert texts(scribe) == ["9"]
    assert scribe.earliest_ns is None


def test_a_live_feed_leaves_the_oldest_out_and_counts_it(scribe: TranscriptionThread, listener: Listener) -> None:
    """And never waits."""
    scribe.put(utterance(0), wait=False)
    assert listener.begun.acquire(timeout=30)
    for start_s in range(10, 60, 10):
        scribe.put(utterance(start_s), wait=False)
    assert scribe.left_out_ns == 5 * 5 * S - BACKLOG_NS
    listener.allowed.release(10)
    scribe.settle(30)
    assert texts(scribe) == ["0", "30", "40", "50"]


def test_a_film_waits_for_room(scribe: TranscriptionThread, listener: Listener) -> None:
    """Nothing of it is left out."""
    scribe.put(utterance(0), wait=True)
    assert listener.begun.acquire(timeout=30)
    for start_s in (10, 20, 30):
        scribe.put(utterance(start_s), wait=True)
    waiting = threading.Thread(target=lambda: scribe.put(utterance(40), wait=True))
    waiting.start()
    assert waiting.is_alive()
    listener.allowed.release(10)
    waiting.join(30)
    scribe.settle(30)
    assert texts(scribe) == ["0", "10", "20", "30", "40"]
    assert scribe.left_out_ns == 0


def test_what_is_not_done_within_the_limit_is_left_out(scribe: TranscriptionThread, listener: Listener) -> None:
    """Also what is being understood at that moment: its session is over."""
    scribe.put(utterance(0), wait=False)
    assert listener.begun.acquire(timeout=30)
    scribe.put(utterance(10), wait=False)
    scribe.settle(0.01)
    assert scribe.left_out_ns == 10 * S
    assert scribe.earliest_ns is None
    scribe.put(utterance(20), wait=False)
    listener.allowed.release(2)
    scribe.settle(30)
    assert texts(scribe) == ["20"]


@pytest.mark.parametrize("fails_at", ["prepare", "recognise"])
def test_what_goes_wrong_is_handed_over(fails_at: str) -> None:
    """Nobody waits for a thread that is gone."""

    def fail(*_: object) -> tuple[Cue, ...]:
        raise ValueError("no such network")

    nothing: Callable[..., tuple[Cue, ...]] = lambda *_: ()  # noqa: E731 - as short as it is
    scribe = TranscriptionThread(fail if fails_at == "recognise" else nothing, fail if fails_at == "prepare" else None)  # type: ignore[arg-type]
    for start_s in range(0, 100, 10):
        scribe.put(utterance(start_s), wait=True)
    scribe.settle(None)
    with pytest.raises(ValueError, match="no such network"):
        scribe.take()
    scribe.close()
