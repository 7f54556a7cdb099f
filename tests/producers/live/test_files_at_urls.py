"""Files on a web server. A URL with a stated duration is played like a file."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from typing import Any

from structlog.testing import capture_logs

from tests.producers.live.conftest import Playing, wait_until
from tests.producers.live.hls_server import QuietHandler
from tests.producers.live.relay import Relay
from tests.producers.live.test_broken_connections import losses
from triptych.schemas.records import End, InputRecord, VideoFrame

Watch = Callable[..., Playing]
S = 1_000_000_000


@contextmanager
def serving_folder(folder: Path) -> Iterator[Relay]:
    """Serve files over connections that can be broken."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with Relay(server.server_port) as relay:
            yield relay
        server.shutdown()


def contents(records: list[InputRecord]) -> list[tuple[Any, ...]]:
    """Return what does not depend on the producer: types, session times and watermarks."""
    began_ns = min(record.start_ns for record in records)
    return sorted(
        (type(record).__name__, record.start_ns - began_ns, (record.next_ns or 0) - began_ns)
        for record in records
        if not isinstance(record, End)
    )


def test_a_looped_file_is_one_session(watch: Watch, make_media: Callable[..., Path], play: Callable[..., Any]) -> None:
    """Three passes over a URL give the same records as three over the file."""
    path = make_media()
    with serving_folder(path.parent) as relay:
        playing = watch(f"http://127.0.0.1:{relay.port}/{path.name}", loops=3)
        playing.wait_until_over()

    records = playing.records()
    assert [(one.status.state, one.status.total_ns) for one in playing.outcomes] == [("done", 3 * 2 * S)]
    assert len(playing.sessions()) == 1
    assert contents(records) == contents(play(path, loops=3))
    assert [record.seq for record in records if isinstance(record, VideoFrame)] == list(range(24))
    (end,) = (record for record in records if isinstance(record, End))
    assert end.next_ns == min(record.start_ns for record in records) + 3 * 2 * S


def test_an_endless_loop_waits_for_its_server(watch: Watch, make_media: Callable[..., Path]) -> None:
    """Another session begins when the server is back. Only the last one surely has an end (`session_boundary.py`)."""
    path = make_media()
    with serving_folder(path.parent) as relay, capture_logs() as logs:
        playing = watch(f"http://127.0.0.1:{relay.port}/{path.name}", loops=0)
        playing.wait_for_media(1)  # which is more than a pass
        relay.refuse(on=True)
        relay.cut()
        wait_until(lambda: len(losses(logs)) >= 1, "the loss of the file")
        relay.refuse(on=False)
        playing.wait_for_media(2)
        playing.stop.set()
        playing.wait_until_over()

    before, after = playing.sessions().values()
    assert max(record.next_ns or 0 for record in before) <= min(record.start_ns for record in after)
    for records in (before, after):
        frames = [record.start_ns for record in records if isinstance(record, VideoFrame)]
        assert all(later - earlier < S // 2 for earlier, later in pairwise(frames))
    assert sum(isinstance(record, End) for record in after) == 1
    assert [log["to_ns"] for log in logs if log["event"] == "source_gap"] == [after[0].start_ns]
    assert [outcome.exit_code for outcome in playing.outcomes] == [0]


def test_a_film_of_which_nothing_can_be_played_has_failed(watch: Watch, make_media: Callable[..., Path]) -> None:
    """Its index lies at its end, and Python's own server answers no ranges."""
    path = make_media("film.mp4", frame_ms=range(0, 60_000, 40), size=(640, 480))
    with serving_folder(path.parent) as relay:
        playing = watch(f"http://127.0.0.1:{relay.port}/{path.name}")
        playing.wait_until_over()

    (outcome,) = playing.outcomes
    assert (outcome.status.state, outcome.status.sent, outcome.exit_code) == ("failed", 0, 2)
    assert "film.mp4: nothing in it could be decoded" in str(outcome.error)
