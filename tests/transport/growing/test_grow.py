"""Growing the topics under workers, in memory: what is waited for, what is refused, and that no window is split."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import cast

import pytest

from tests.worker.world import SECOND, Feed, World
from triptych.schemas.codec import decode_result
from triptych.schemas.names import INPUT_TOPICS, results_topic
from triptych.schemas.partition import partition_of
from triptych.schemas.results import Result
from triptych.settings.loading import load
from triptych.transport.growing.drain import DrainRules
from triptych.transport.growing.grow import GrowthTimes, TopicGrower
from triptych.transport.growing.plan import GrowthRefusedError
from triptych.transport.memory.reader import MemoryReader
from triptych.transport.memory.transport import MemoryTransport
from triptych.transport.records import Poll, Record, TopicPartition
from triptych.transport.topics import create_missing
from triptych.units import NS_PER_MS

BEFORE, AFTER = 6, 9
LONG_WINDOWS = {
    "model.name": "null",
    "batch.max_delay_ms": 0,
    "window.size_ms": 60_000,
    "kafka.earlier_partitions": str(BEFORE),
}
MOVES = next(
    name
    for name in (f"stream-{number}" for number in range(100))
    if partition_of(name.encode(), BEFORE) != partition_of(name.encode(), AFTER)
)
"""A stream whose partition is another one after the growth."""


@dataclass
class Site:
    """An installation in memory, with clocks that stand still except while the command waits."""

    world: World = field(default_factory=World)
    now_s: float = 0.0
    wall_ns: int = Feed("any").start_ns + 3_600 * SECOND
    said: list[str] = field(default_factory=list)
    meanwhile: list[Callable[[], object]] = field(default_factory=list)
    """What happens while the command waits, one after the other."""

    def __post_init__(self) -> None:
        """Create the topics."""
        create_missing(self.memory.admin(), self.world.settings.pipeline, 1_000_000)

    @classmethod
    def at(cls, wall_ns: int) -> Site:
        """Return an installation in which records also arrive by its clock."""
        world = World()
        made = cls(world, wall_ns=wall_ns)
        world.transport = MemoryTransport(clock_ns=lambda: made.wall_ns)
        create_missing(made.memory.admin(), world.settings.pipeline, 1_000_000)
        return made

    @property
    def memory(self) -> MemoryTransport:
        """Its transport."""
        return cast("MemoryTransport", self.world.transport)

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.now_s += seconds
        self.wall_ns += round(seconds * SECOND)
        if self.meanwhile:
            self.meanwhile.pop(0)()

    def grow(self, partitions: int = AFTER, *, drained: bool = True, dry_run: bool = False) -> None:
        """Run the command."""
        align = self.world.settings.align
        times = GrowthTimes(
            quiet_s=2.0,
            drain_s=5.0,
            rules=DrainRules(
                align.stream_ttl_ms * NS_PER_MS,
                align.max_future_ms * NS_PER_MS,
                self.world.settings.window.size_ns,
            ),
            monotonic_s=lambda: self.now_s,
            wall_ns=lambda: self.wall_ns,
            pause=self.wait,
        )
        grower = TopicGrower(self.memory, times, self.said.append)
        plan = grower.plan(self.world.settings.pipeline, partitions)
        grower.grow(plan, drained=drained, dry_run=dry_run)

    def counts(self) -> set[int]:
        """Return the numbers of partitions of its topics."""
        names = [*INPUT_TOPICS, results_topic(self.world.settings.pipeline)]
        return {found.partitions for found in self.memory.admin().identify(names).values()}

    def results(self, stream: str) -> list[Result]:
        """Return the results of a stream on the topic, whichever partition has them, in the order of event time."""
        topic = results_topic(self.world.settings.pipeline)
        tps = [TopicPartition(topic, number) for number in range(self.memory.admin().partition_count(topic) or 0)]
        reader = self.memory.reader(dict.fromkeys(tps, 0))
        ends = reader.end_offsets(tps)
        records: list[Record] = []
        while any(reader.position(tp) < ends[tp] for tp in tps):
            records += reader.poll(1).records
        found = [decode_result(record.key, record.value, record.headers) for record in records]
        return sorted((each for each in found if each.stream == stream), key=lambda each: each.id)


@pytest.fixture
def site() -> Site:
    """An installation with a stream that moves, of which everything is published."""
    made = Site()
    made.world.send(Feed(MOVES).play(6))
    made.world.work()
    return made


def test_a_stream_goes_on_in_its_new_partition(site: Site) -> None:
    """No window is lost or published twice, and each is complete. The worker sees one more stream begin."""
    before = site.results(MOVES)
    site.grow()
    later = replace(Feed(MOVES, session="s2"), start_ns=Feed(MOVES).start_ns + 60 * SECOND)
    site.world.send(later.play(6))
    site.world.work()

    assert site.counts() == {AFTER}
    found = site.results(MOVES)
    assert [each.id for each in found[:3]] == [each.id for each in before]
    assert len({each.id for each in found}) == len(found) == 6
    assert [each.modalities.video.items for each in found] == [8] * 6
    places = [each.modalities.video.partition for each in found]
    assert places == [partition_of(MOVES.encode(), n) for n in (BEFORE, BEFORE, BEFORE, AFTER, AFTER, AFTER)]
    assert site.world.letters() == []
    assert any(f"{MOVES} (" in line for line in site.said)


def test_it_refuses_while_records_arrive(site: Site) -> None:
    """And names their streams. The last look is right before the growth."""
    for at in (0, 3):
        site.meanwhile = [lambda: None] * at + [lambda: site.world.send(Feed("door").play(1))]
        with pytest.raises(GrowthRefusedError, match="records arrive of door: stop their producers"):
            site.grow()
        assert site.counts() == {BEFORE}
        site.world.work()


def test_it_waits_for_the_workers(site: Site) -> None:
    """Windows of what was sent before are published first."""
    site.world.send(Feed("door").play(6))
    site.meanwhile = [lambda: None] * 6 + [site.world.work]
    site.grow()

    assert site.counts() == {AFTER}
    assert site.now_s >= 3
    assert "pipeline triptych: windows of 1 streams are still to be published" in site.said
    assert "pipeline triptych: windows of 0 streams are still to be published" in site.said


def test_it_refuses_when_the_workers_do_not_finish(site: Site) -> None:
    """With the number of workers. `--backlog` grows all the same: the windows are published later, none twice."""
    site.world.send(Feed("door").play(6))
    with pytest.raises(GrowthRefusedError, match=r"pipeline triptych \(0 workers\).*of door.*--backlog"):
        site.grow()
    assert site.counts() == {BEFORE}
    site.grow(drained=False)
    site.world.work()

    assert site.counts() == {AFTER}
    assert [each.modalities.video.items for each in site.results("door")] == [8, 8, 8]
    assert site.world.letters() == []


def test_windows_that_wait_for_silence_are_waited_for_too(site: Site) -> None:
    """A producer that was killed says no end: the last window of its stream is closed by silence."""
    site.world.send(Feed("door").play(6, ended=False)[:-1])
    site.world.work()
    assert len(site.results("door")) == 2
    with pytest.raises(GrowthRefusedError, match="of door"):
        site.grow()
    assert any("note: door did not end" in line for line in site.said)


def test_a_dry_run_changes_nothing_and_waits_for_nobody(site: Site) -> None:
    """It says what would be done, also of windows that are still to be published."""
    site.world.send(Feed("door").play(6))
    site.grow(dry_run=True)

    assert site.counts() == {BEFORE}
    assert site.now_s == pytest.approx(2, abs=0.5)
    assert f"{results_topic('triptych')}: 6 -> 9 partitions" in site.said
    assert "pipeline triptych: windows of 1 streams are still to be published" in site.said
    assert site.said[-1] == "dry run: nothing was changed"


def test_it_waits_until_the_last_window_is_over(site: Site) -> None:
    """A live feed that is started again at once would send the rest of a window that is published."""
    site.wall_ns = max(each.end_ns for each in site.results(MOVES)) - 5 * SECOND
    site.grow()

    assert site.wall_ns >= max(each.end_ns for each in site.results(MOVES))
    assert any("until the newest windows are over" in line for line in site.said)
    assert site.now_s == pytest.approx(5, abs=0.5)


def test_a_film_in_the_future_does_not_hide_live_feeds(site: Site) -> None:
    """It is named, and the windows of the others are waited for."""
    film = replace(Feed("film"), start_ns=Feed("film").start_ns + 1_800 * SECOND)
    site.world.send(film.play(6))
    site.world.work()
    site.wall_ns = max(each.end_ns for each in site.results(MOVES)) - 5 * SECOND
    site.grow()

    assert any("the newest windows are in the future" in line for line in site.said)
    assert site.now_s == pytest.approx(5, abs=0.5)


@pytest.mark.parametrize("case", ["backlog", "interrupted", "unread"])
def test_it_waits_until_the_windows_of_what_was_sent_last_are_over(case: str) -> None:
    """Also those that no worker has published: a feed that starts again would begin in one, on another partition."""
    site = Site.at(Feed(MOVES).start_ns)
    site.world.settings = load(overrides=LONG_WINDOWS, environ={})
    if case != "unread":  # otherwise no worker of the pipeline has committed anything
        site.wall_ns -= 120 * SECOND
        site.world.send(replace(Feed("other"), start_ns=site.wall_ns).play(6))
        site.world.work()
        site.wall_ns += 120 * SECOND
    site.world.send(Feed(MOVES).play(6))
    site.wall_ns += 20 * SECOND
    if case == "interrupted":
        site.memory.add_partitions(results_topic("triptych"), AFTER)
    site.grow(drained=case != "backlog")
    site.world.send(replace(Feed(MOVES, session="s2"), start_ns=site.wall_ns).play(6))
    site.world.work()

    found = site.results(MOVES)
    assert [each.modalities.video.items for each in found] == [24, 24]
    assert len({each.id for each in found}) == 2


def long_ago(monkeypatch: pytest.MonkeyPatch) -> tuple[Site, list[Record]]:
    """Return an installation whose workers stopped an hour ago before 393 records, and the inputs that are read."""
    site = Site.at(Feed("door").start_ns)
    site.world.send(Feed(MOVES).play(6))
    site.world.work()
    site.world.send(Feed("door").play(60))
    site.wall_ns += 3_600 * SECOND
    read: list[Record] = []
    poll = MemoryReader.poll

    def slow_poll(reader: MemoryReader, timeout_s: float) -> Poll:
        found = poll(reader, timeout_s)
        inputs = [record for record in found.records if record.topic in INPUT_TOPICS]
        read.extend(inputs)
        site.now_s += 60 if inputs else 0
        return found

    monkeypatch.setattr(MemoryReader, "poll", slow_poll)
    return site, read


def test_a_backlog_that_is_not_waited_for_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be days of media. Only the newest 100 records of each partition are looked at."""
    site, read = long_ago(monkeypatch)
    site.grow(drained=False)

    assert site.counts() == {AFTER}
    assert len([record for record in read if record.key == b"door"]) == 100 + 100 + 31


def test_reading_what_is_not_committed_shows_its_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    """With its size."""
    site, _ = long_ago(monkeypatch)
    site.grow(dry_run=True)

    assert "pipeline triptych: windows of 1 streams are still to be published" in site.said
    read = [line for line in site.said if "records read" in line]
    assert read[-1] == "pipeline triptych: what is not committed: 393 of 393 records read"


@pytest.mark.parametrize("grown", [INPUT_TOPICS, INPUT_TOPICS[:1], (results_topic("triptych"),)])
def test_topics_that_were_grown_by_hand_become_equal(site: Site, grown: tuple[str, ...]) -> None:
    """Whichever they are: `topics check` sends its readers here."""
    for topic in grown:
        site.memory.add_partitions(topic, AFTER)
    site.grow()

    assert site.counts() == {AFTER}


def test_an_interrupted_growth_is_finished_by_the_same_command(site: Site) -> None:
    """Workers wait while topics differ, so it does not wait for them."""
    site.world.send(Feed("door").play(6))
    site.memory.add_partitions(results_topic("triptych"), AFTER)
    site.grow()
    site.world.work()

    assert site.counts() == {AFTER}
    assert len(site.results("door")) == 3


def test_a_pipeline_that_has_read_nothing_is_not_waited_for(site: Site) -> None:
    """Its name and the reason are said; its topics grow as well."""
    create_missing(site.memory.admin(), "night", 1_000_000)
    site.grow()

    assert "pipeline night: not waited for, no worker of it has committed anything" in site.said
    assert site.memory.admin().partition_count("night.results") == AFTER
