"""Real servers of live feeds, each behind a relay whose connections can be broken."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.producers.live.relay import Relay
from tests.servers import require_program
from triptych.producers.live import live_player
from triptych.producers.run import produce_all
from triptych.producers.sources.playback_plan import PlaybackPlan
from triptych.producers.sources.source import parse_source
from triptych.producers.status.outcome import SourceOutcome
from triptych.schemas.codec import decode
from triptych.schemas.names import INPUT_TOPICS, MODALITY_OF
from triptych.schemas.records import InputRecord
from triptych.transport.memory.transport import MemoryTransport
from triptych.transport.records import Record, TopicPartition

HERE = Path(__file__).parent
SYSTEM_PYTHON = "/usr/bin/python3"
USER, PASSWORD = "viewer", "Geheim-7391"


def wait_until(true: Callable[[], bool], what: str, limit_s: float = 120.0) -> None:
    """Wait until a condition holds; fail after the timeout."""
    deadline = time.monotonic() + limit_s
    while not true():
        assert time.monotonic() < deadline, f"waited {limit_s:.0f} s for {what}"
        time.sleep(0.1)


@contextmanager
def serving(*command: str) -> Iterator[int]:
    """Run a server that prints its port."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline())
        finally:
            process.kill()


@pytest.fixture
def rtsp() -> Iterator[Relay]:
    """A camera with a password: a real RTSP server, where GStreamer's is installed."""
    check = [SYSTEM_PYTHON, "-c", "import gi; gi.require_version('GstRtspServer', '1.0')"]
    has = Path(SYSTEM_PYTHON).exists() and subprocess.run(check, capture_output=True, check=False).returncode == 0
    require_program(SYSTEM_PYTHON if has else None, "gir1.2-gst-rtsp-server-1.0")
    with serving(SYSTEM_PYTHON, str(HERE / "rtsp_server.py"), USER, PASSWORD) as port, Relay(port) as relay:
        yield relay


@pytest.fixture
def hls(tmp_path: Path) -> Iterator[Relay]:
    """A channel that is written while it is played."""
    with serving(sys.executable, str(HERE / "hls_server.py"), str(tmp_path)) as port, Relay(port) as relay:
        yield relay


@dataclass
class Playing:
    """A feed that is played into memory by a thread of its own."""

    transport: MemoryTransport = field(default_factory=MemoryTransport)
    stop: threading.Event = field(default_factory=threading.Event)
    outcomes: list[SourceOutcome] = field(default_factory=list)

    def raw(self) -> list[Record]:
        """Return all messages that have arrived, by topic."""
        partitions = [TopicPartition(topic, number) for topic in INPUT_TOPICS for number in range(6)]
        reader = self.transport.reader(dict.fromkeys(partitions, 0))
        records: list[Record] = []
        while found := reader.poll(0).records:
            records += found
        return records

    def records(self) -> list[InputRecord]:
        """Return all records that have arrived, by topic."""
        return [decode(one.key, one.value, one.headers, modality=MODALITY_OF[one.topic]) for one in self.raw()]

    def sessions(self) -> dict[str, list[InputRecord]]:
        """Return the records of each session, in the order of the sessions."""
        found: dict[str, list[InputRecord]] = {}
        for record in sorted(self.records(), key=lambda record: record.start_ns):
            found.setdefault(record.session, []).append(record)
        return found

    def wait_until_over(self) -> None:
        """Wait until the feed has ended."""
        wait_until(lambda: bool(self.outcomes), "the end of the feed")

    def wait_for_media(self, sessions: int, count: int = 12) -> None:
        """Wait until there are this many sessions, and the last one has this many records."""
        wait_until(
            lambda: len(found := list(self.sessions().values())) == sessions and len(found[-1]) >= count,
            f"session {sessions}",
        )


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Playing]]:
    """Play a URL until the test ends, with fields of `PlaybackPlan`. A feed that is silent for 8 s counts as lost.

    Shorter than in use, but longer than a server on a busy machine is silent.
    """
    monkeypatch.setattr(live_player, "READ_TIMEOUT_S", 7.5)
    monkeypatch.setattr(live_player, "_MARGIN_S", 0.5)
    playing = Playing()
    threads: list[threading.Thread] = []

    def play(url: str, **options: Any) -> Playing:  # noqa: ANN401 - whatever `PlaybackPlan` has
        plan = PlaybackPlan(source=parse_source(url), stream="feed", **options)
        thread = threading.Thread(
            target=lambda: playing.outcomes.extend(produce_all([plan], playing.transport, stop=playing.stop))
        )
        threads.append(thread)
        thread.start()
        return playing

    yield play
    playing.stop.set()
    for thread in threads:
        thread.join(30)
