"""Several sources at once: pacing, stopping, failures, counts."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Lock

import numpy as np
import pytest
from structlog.testing import capture_logs

from triptych.producers import run
from triptych.producers.clock import RunningClock
from triptych.producers.file_player import FilePlayer
from triptych.producers.run import check_playable, produce_all
from triptych.producers.sending.dispatcher import RecordDispatcher
from triptych.producers.sources.playback_plan import PlaybackPlan
from triptych.producers.status.counters import SourceStatus
from triptych.producers.status.outcome import SourceOutcome
from triptych.schemas.codec import decode
from triptych.schemas.errors import UsageError
from triptych.schemas.names import INPUT_TOPICS, MODALITY_OF
from triptych.schemas.records import AudioChunk, End, InputRecord
from triptych.transport.errors import BrokerUnavailableError, NotAuthorizedError, PublishTimeoutError
from triptych.transport.memory.transport import MemoryPublisher, MemoryTransport
from triptych.transport.records import Delivered, Message, TopicPartition

PlanOf = Callable[..., PlaybackPlan]
MakeMedia = Callable[..., Path]
S = 1_000_000_000
LIMIT_S = 60.0
NOW_NS = 1_767_225_600 * S


@dataclass
class FakeClock:
    """A clock that stands still except for waits, which it records and skips."""

    waits: list[int] = field(default_factory=list)
    monotonic: int = 0

    def now_ns(self) -> int:
        """Return a constant time."""
        return NOW_NS

    def monotonic_ns(self) -> int:
        """Return the total time of the waits."""
        return self.monotonic

    def wait(self, stop: Event, duration_ns: int) -> None:
        """Advance the clock."""
        if not stop.is_set():
            self.waits.append(duration_ns)
            self.monotonic += duration_ns


def records_in(transport: MemoryTransport) -> list[InputRecord]:
    """Return all records that were sent, by topic and offset."""
    partitions = [TopicPartition(topic, number) for topic in INPUT_TOPICS for number in range(6)]
    reader = transport.reader(dict.fromkeys(partitions, 0))
    records: list[InputRecord] = []
    while found := reader.poll(0).records:
        records += [decode(one.key, one.value, one.headers, modality=MODALITY_OF[one.topic]) for one in found]
    return records


def audio_file(make_media: MakeMedia, name: str, seconds: int = 2) -> Path:
    """Write a file with audio only."""
    return make_media(name, video_codec=None, samples=np.full((1, seconds * 16_000), 100, np.int16))


def test_sources_are_played_in_parallel_into_one_transport(make_media: MakeMedia, plan_of: PlanOf) -> None:
    """Each one ends, and all its records are there."""
    transport = MemoryTransport()
    plans = [plan_of(audio_file(make_media, f"{name}.mkv"), stream=name) for name in ("one", "two", "three")]

    outcomes = produce_all(plans, transport, clock=FakeClock())

    records = records_in(transport)
    assert [outcome.status.state for outcome in outcomes] == ["done"] * 3
    assert sum(outcome.status.sent for outcome in outcomes) == len(records) == 3 * (4 + 1)
    assert {record.stream for record in records if isinstance(record, End)} == {"one", "two", "three"}


def test_a_source_that_fails_does_not_stop_the_others(make_media: MakeMedia, plan_of: PlanOf, tmp_path: Path) -> None:
    """The failure is a usage error, and the other source is played to its end."""
    broken = tmp_path / "broken.mkv"
    broken.write_bytes(b"nothing")
    plans = [plan_of(broken, stream="broken"), plan_of(audio_file(make_media, "good.mkv"), stream="good")]

    bad, good = produce_all(plans, MemoryTransport(), clock=FakeClock())

    assert (bad.status.state, bad.status.sent, bad.exit_code) == ("failed", 0, 2)
    assert (good.status.state, good.exit_code) == ("done", 0)


def test_check_playable_raises_only_where_no_source_can_be_played(
    make_media: MakeMedia, plan_of: PlanOf, tmp_path: Path
) -> None:
    """One good source is enough to start."""
    broken = tmp_path / "broken.mkv"
    broken.write_bytes(b"nothing")

    check_playable([plan_of(broken), plan_of(audio_file(make_media, "good.mkv"))])
    with pytest.raises(UsageError, match=r"broken\.mkv"):
        check_playable([plan_of(broken), plan_of(broken)])


def test_in_real_time_every_record_waits_until_it_is_due(make_media: MakeMedia, plan_of: PlanOf) -> None:
    """A chunk is sent when its last sample is due. Event time begins now."""
    clock, transport = FakeClock(), MemoryTransport()

    produce_all([plan_of(audio_file(make_media, "film.mkv"), realtime=True)], transport, clock=clock)

    assert [wait for wait in clock.waits if wait] == [S // 2] * 4
    assert min(record.start_ns for record in records_in(transport)) == NOW_NS


def test_a_file_played_fast_ends_now_and_never_waits(make_media: MakeMedia, plan_of: PlanOf) -> None:
    """Unless the plan states its start."""
    clock, transport, other = FakeClock(), MemoryTransport(), MemoryTransport()
    media = audio_file(make_media, "film.mkv")

    produce_all([plan_of(media, loops=2)], transport, clock=clock)
    produce_all([plan_of(media, start_at_ns=7 * S)], other, clock=clock)

    assert not any(clock.waits)
    assert min(record.start_ns for record in records_in(transport)) == NOW_NS - 4 * S
    assert min(record.start_ns for record in records_in(other)) == 7 * S


def test_stopping_ends_the_tracks_of_a_source(make_media: MakeMedia, plan_of: PlanOf) -> None:
    """An endless loop ends at its current position, without an error."""
    stop = Event()

    class Stopping:
        """Stop once something was sent."""

        def show(self, statuses: list[SourceStatus]) -> None:
            """Look at the counts."""
            if statuses[0].sent > 20:
                stop.set()

    transport = MemoryTransport(max_bytes=1 << 30)
    plan = plan_of(audio_file(make_media, "film.mkv"), loops=0)

    (outcome,) = produce_all([plan], transport, clock=FakeClock(), stop=stop, display=nullcontext(Stopping()))

    records = records_in(transport)
    assert (outcome.status.state, outcome.error) == ("stopped", None)
    assert isinstance(records[-1], End)
    assert records[-1].start_ns == records[-2].watermark_ns


def test_only_the_record_over_the_size_limit_is_dropped(make_media: MakeMedia, plan_of: PlanOf) -> None:
    """It is counted, and all others arrive."""
    transport = MemoryTransport(max_record_bytes=12_000)
    noise = np.random.default_rng(0).integers(0, 20_000, (1, 24_000)).astype(np.int16)
    media = make_media(video_codec="mpeg4", frame_ms=range(0, 1_500, 40), samples=noise)

    (outcome,) = produce_all([plan_of(media)], transport, clock=FakeClock())

    records = records_in(transport)
    assert (outcome.status.dropped, outcome.exit_code) == (3, 0)
    assert outcome.status.sent == len(records)
    assert {record.modality for record in records if not isinstance(record, End)} == {"video"}


def test_a_transport_error_fails_the_source(make_media: MakeMedia, plan_of: PlanOf) -> None:
    """The exit code is that of the error."""

    class Away(MemoryPublisher):
        """A publisher that has lost its broker."""

        def send(self, message: Message) -> None:  # type: ignore[override]
            """Refuse."""
            raise BrokerUnavailableError(message.topic)

    class Transport(MemoryTransport):
        """A transport of such publishers."""

        def publisher(self) -> MemoryPublisher:
            """Open one."""
            return Away(self._broker)

    (outcome,) = produce_all([plan_of(audio_file(make_media, "film.mkv"))], Transport(), clock=FakeClock())

    assert (outcome.status.state, outcome.exit_code) == ("failed", 3)


def test_a_transport_error_after_the_last_record_was_read_fails_the_source(
    make_media: MakeMedia, plan_of: PlanOf
) -> None:
    """A short file has been read before the broker answers: it must not count as sent."""
    may_fail = Event()

    class Refusing(MemoryPublisher):
        """A publisher that refuses late."""

        def send(self, message: Message) -> Future[Delivered]:
            """Wait, then refuse."""
            assert may_fail.wait(LIMIT_S)
            raise NotAuthorizedError(message.topic)

    clock = RunningClock(FakeClock())
    dispatcher = RecordDispatcher(Refusing(MemoryTransport()._broker), clock)  # noqa: SLF001 - as its publishers do
    player = FilePlayer(plan_of(audio_file(make_media, "film.mkv")), dispatcher, clock, Event())
    player.thread.start()
    player.thread.join(LIMIT_S)

    before = player.outcome()
    may_fail.set()
    dispatcher.close(LIMIT_S)

    after = player.outcome()
    assert (before.status.state, before.exit_code) == ("playing", 0)
    assert (after.status.state, after.exit_code) == ("failed", NotAuthorizedError.exit_code)
    assert after.status.dropped == 5


def test_a_source_ends_when_all_that_it_sent_is_acknowledged(make_media: MakeMedia, plan_of: PlanOf) -> None:
    """Not when it has been read to its end: the counts of a source that has ended are final."""
    may_send = Event()

    class Slow(MemoryPublisher):
        """A publisher that blocks at first."""

        def send(self, message: Message) -> Future[Delivered]:
            """Wait, then send."""
            assert may_send.wait(LIMIT_S)
            return super().send(message)

    transport = MemoryTransport()
    clock = RunningClock(FakeClock())
    dispatcher = RecordDispatcher(Slow(transport._broker), clock)  # noqa: SLF001 - as its publishers do
    player = FilePlayer(plan_of(audio_file(make_media, "film.mkv")), dispatcher, clock, Event())
    player.thread.start()
    player.thread.join(LIMIT_S)

    before = player.status
    may_send.set()
    dispatcher.close(LIMIT_S)

    assert (before.state, before.sent) == ("playing", 0)
    assert (player.status.state, player.status.sent) == ("done", len(records_in(transport)))


def test_what_is_lost_at_the_end_is_counted_and_shown(
    make_media: MakeMedia, plan_of: PlanOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last statuses are shown before the error is raised."""
    monkeypatch.setattr(run, "FLUSH_TIMEOUT_S", 0.2)
    lock, error = Lock(), PublishTimeoutError("no answer")

    class Unacknowledged(MemoryPublisher):
        """A publisher whose broker never answers."""

        def send(self, message: Message) -> Future[Delivered]:  # noqa: ARG002 - never sent
            """Accept the message, unless it was closed."""
            with lock:
                if self._closed:
                    raise error
                futures.append(Future())
                return futures[-1]

        def close(self, timeout_s: float) -> None:  # noqa: ARG002 - it does not wait
            """Fail what was accepted."""
            with lock:
                self._closed = True
            for future in futures:
                future.set_exception(error)
            raise error

    class Transport(MemoryTransport):
        """A transport of such publishers."""

        def publisher(self) -> MemoryPublisher:
            """Open one."""
            return Unacknowledged(self._broker)

    class Recording:
        """Keep the statuses."""

        def show(self, statuses: list[SourceStatus]) -> None:
            """Keep them."""
            shown.extend(statuses)

    futures: list[Future[Delivered]] = []
    shown: list[SourceStatus] = []
    plan = plan_of(audio_file(make_media, "film.mkv"))
    with pytest.raises(PublishTimeoutError):
        produce_all([plan], Transport(), clock=FakeClock(), display=nullcontext(Recording()))

    assert {status.state for status in shown[:-1]} <= {"starting", "playing"}
    assert (shown[-1].state, shown[-1].dropped) == ("done", 5)


def test_the_outcome_of_a_source_has_an_exit_code(plan_of: PlanOf) -> None:
    """An unexpected error has exit code 1."""
    plan = plan_of(Path("film"))

    assert SourceOutcome(plan, SourceStatus("film")).exit_code == 0
    assert SourceOutcome(plan, SourceStatus("film"), UsageError("no")).exit_code == 2
    assert SourceOutcome(plan, SourceStatus("film"), ValueError("?")).exit_code == 1


class SuspendedClock(FakeClock):
    """A clock during one of whose waits the program is suspended."""

    def __init__(self, *, at_wait: int, length_ns: int) -> None:
        super().__init__()
        self._at_wait = at_wait
        self._length_ns = length_ns

    def wait(self, stop: Event, duration_ns: int) -> None:
        """Wait, once for longer."""
        super().wait(stop, duration_ns + self._length_ns * (len(self.waits) == self._at_wait))


def test_a_file_in_real_time_goes_on_at_the_present_after_a_suspension(make_media: MakeMedia, plan_of: PlanOf) -> None:
    """What was due meanwhile is a gap in `seq`, counted with its cause. Event times are as without the suspension."""
    clock, transport = SuspendedClock(at_wait=4, length_ns=6 * S), MemoryTransport()
    with capture_logs() as logs:
        (outcome,) = produce_all(
            [plan_of(audio_file(make_media, "film.mkv", seconds=10), realtime=True)], transport, clock=clock
        )

    chunks = [record for record in records_in(transport) if isinstance(record, AudioChunk)]
    missed = outcome.status.track_losses["audio", "suspended"]
    numbers = [chunk.seq for chunk in chunks]
    assert (missed.records, missed.gaps, outcome.status.dropped) == (20 - len(chunks), 1, 20 - len(chunks))
    assert numbers == [*range(4), *range(4 + missed.records, 20)]
    assert 12 <= missed.records <= 13
    assert [chunk.start_ns for chunk in chunks] == [
        NOW_NS + number * S // 2 for number in numbers if number is not None
    ]
    assert clock.monotonic == 10 * S
    assert outcome.status.suspended_ns == pytest.approx(6 * S, abs=S)
    assert [entry["missed_s"] for entry in logs if entry["event"] == "producer_suspended"] == [pytest.approx(6, abs=1)]


def test_a_file_that_is_not_played_in_real_time_misses_nothing(make_media: MakeMedia, plan_of: PlanOf) -> None:
    """It waits for the broker, and goes on where it was."""
    transport = MemoryTransport()

    (outcome,) = produce_all([plan_of(audio_file(make_media, "film.mkv"))], transport, clock=FakeClock())

    assert (outcome.status.dropped, outcome.status.kept_ns, len(records_in(transport))) == (0, None, 5)
