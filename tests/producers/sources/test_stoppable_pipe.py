"""Pipes that are silent when the program stops."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from triptych.producers.run import produce_all
from triptych.producers.sources.playback_plan import PlaybackPlan
from triptych.producers.sources.source import FileSource
from triptych.producers.sources.stoppable_pipe import stoppable
from triptych.producers.status.outcome import SourceOutcome
from triptych.schemas.codec import decode
from triptych.schemas.names import INPUT_TOPICS, MODALITY_OF
from triptych.schemas.records import End, InputRecord, VideoFrame
from triptych.transport.memory.transport import MemoryTransport
from triptych.transport.records import TopicPartition

MakeMedia = Callable[..., Path]
PlanOf = Callable[..., PlaybackPlan]
LIMIT_S = 60.0


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    """A named pipe."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    return path


@contextmanager
def playing(plan: PlaybackPlan, transport: MemoryTransport) -> Iterator[tuple[threading.Event, list[SourceOutcome]]]:
    """Play in a thread, and check that it ends soon after the stop."""
    stop = threading.Event()
    outcomes: list[SourceOutcome] = []
    thread = threading.Thread(target=lambda: outcomes.extend(produce_all([plan], transport, stop=stop)), daemon=True)
    thread.start()
    yield stop, outcomes
    stop.set()
    thread.join(LIMIT_S)
    assert not thread.is_alive(), "the stop was ignored"


def records_of(transport: MemoryTransport) -> list[InputRecord]:
    """Return all records that have arrived."""
    reader = transport.reader({TopicPartition(topic, number): 0 for topic in INPUT_TOPICS for number in range(6)})
    return [decode(one.key, one.value, one.headers, modality=MODALITY_OF[one.topic]) for one in reader.poll(0).records]


def test_a_pipe_that_nobody_opens_ends_with_the_program(plan_of: PlanOf, pipe: Path) -> None:
    """The first Ctrl-C sets the stop. That nothing came is no error then."""
    with playing(plan_of(pipe), MemoryTransport()) as (_, outcomes):
        time.sleep(0.3)  # it waits, and does not fail
        assert not outcomes
    (outcome,) = outcomes
    assert (outcome.status.state, outcome.status.sent, outcome.error) == ("stopped", 0, None)


def test_a_pipe_that_falls_silent_ends_its_tracks(make_media: MakeMedia, plan_of: PlanOf, pipe: Path) -> None:
    """What came of the film is sent, and both tracks are ended."""
    film = make_media("film.mkv", frame_ms=range(0, 8_000, 40), samples=np.full((1, 128_000), 100, np.int16))
    content, transport = film.read_bytes(), MemoryTransport()
    with pipe.open("r+b", buffering=0) as writing, playing(plan_of(pipe), transport) as (_, outcomes):
        writing.write(content[: 3 * len(content) // 4])
        until_s = time.monotonic() + LIMIT_S
        while sum(isinstance(record, VideoFrame) for record in records_of(transport)) < 18:  # of the 24 that came
            assert time.monotonic() < until_s
            time.sleep(0.05)
        assert not outcomes
    (outcome,) = outcomes
    assert (outcome.status.state, outcome.error) == ("stopped", None)
    assert sum(isinstance(record, End) for record in records_of(transport)) == 2


def test_files_are_not_copied(make_media: MakeMedia) -> None:
    """They can be read again, and interrupted."""
    source = FileSource(make_media())
    with stoppable(source, threading.Event()) as given:
        assert given is source
