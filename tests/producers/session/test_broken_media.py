"""Media that cannot be decoded: how much of it is too much, and what is said about it."""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from structlog.testing import capture_logs

from triptych.producers.run import check_playable, produce_all
from triptych.producers.sources.playback_plan import PlaybackPlan
from triptych.producers.sources.source import FileSource, parse_source
from triptych.transport.memory.transport import MemoryTransport

MakeMedia = Callable[..., Path]
PlanOf = Callable[..., PlaybackPlan]


def damaged(path: Path, every: int) -> Path:
    """Overwrite the content of every n-th packet, from the second on; return the file."""
    with av.open(str(path)) as container:
        spans = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size and packet.pos]
    data, noise = bytearray(path.read_bytes()), random.Random(1)  # noqa: S311 - the same noise in each run
    for at, size in spans[1::every]:
        data[at : at + size] = noise.randbytes(size)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(("every", "state", "code"), [(1, "failed", 2), (10, "done", 0)])
def test_a_share_of_broken_packets_above_the_bound_is_an_error(
    make_media: MakeMedia, plan_of: PlanOf, every: int, state: str, code: int
) -> None:
    """Below it they are counted, and logged once."""
    film = damaged(make_media("film.mp4"), every)

    with capture_logs() as logs:
        (outcome,) = produce_all([plan_of(film)], MemoryTransport())

    broken = [log for log in logs if log["event"] == "source_broken_packets"]
    assert (outcome.status.state, outcome.exit_code) == (state, code)
    assert outcome.status.losses.broken > 0
    assert [log["packets"] for log in broken] == [outcome.status.losses.broken]
    if code:
        assert "packets of video could not be decoded" in str(outcome.error)


def test_a_pipe_is_played_from_its_beginning(make_media: MakeMedia, plan_of: PlanOf, tmp_path: Path) -> None:
    """The check before the start takes nothing out of it."""
    film, pipe = make_media("film.mkv", samples=np.full((1, 32_000), 100, np.int16)), tmp_path / "pipe"
    os.mkfifo(pipe)
    writing = threading.Thread(target=lambda: pipe.write_bytes(film.read_bytes()), daemon=True)
    writing.start()
    source = parse_source(str(pipe))
    assert isinstance(source, FileSource)
    plan = plan_of(film, source=source)

    check_playable([plan])
    (piped,) = produce_all([plan], MemoryTransport())
    (played,) = produce_all([plan_of(film)], MemoryTransport())

    assert piped.exit_code == 0
    assert (piped.status.sent, piped.status.position_ns) == (played.status.sent, played.status.position_ns)


def test_an_encrypted_film_is_named_as_such(make_media: MakeMedia, plan_of: PlanOf, tmp_path: Path) -> None:
    """And no picture of it is sent."""
    film, encrypted = make_media("film.mp4"), tmp_path / "encrypted.mp4"
    key = {"encryption_scheme": "cenc-aes-ctr", "encryption_key": "01" * 16, "encryption_kid": "02" * 16}
    with av.open(str(film)) as source, av.open(str(encrypted), "w", options=key) as target:
        copied = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = copied
                target.mux(packet)

    (outcome,) = produce_all([plan_of(encrypted)], MemoryTransport())

    assert (outcome.status.state, outcome.status.sent, outcome.exit_code) == ("failed", 0, 2)
    assert "got an encrypted one" in str(outcome.error)
