"""A simulation of alignment without a broker: three partitions, a results topic, commits, and members that crash.

It is pure, and its random generator is seeded. A `World` has what outlives a worker: the log, the results topic, the
dead letters and the committed offsets. A `Member` is one worker: an aligner and an offset tracker that read the world,
publish to it and commit. `replay`, `live` and `disturbed` run members through simulated time.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from dataclasses import dataclass, field
from itertools import accumulate
from random import Random
from typing import TYPE_CHECKING, Final

from triptych.units import NS_PER_MS, NS_PER_S
from triptych.worker.alignment.aligner import Aligner
from triptych.worker.alignment.config import AlignConfig
from triptych.worker.alignment.decisions import ClosedWindow, DeadLettered, Decision, DroppedRecord, Forgotten, LateItem
from triptych.worker.alignment.entry import READING_ORDER, Entry
from triptych.worker.alignment.merge import QUERY_DELAY_NS
from triptych.worker.partitions.offset_tracker import OffsetTracker, Pending

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from triptych.schemas.names import Modality
    from triptych.worker.alignment.snapshot import Snapshot

TAIL_MARGIN_NS: Final = 1 * NS_PER_S
"""How far beyond `stream_ttl` a restart reads back in the results topic. The clocks of this world agree."""

MOST_STEPS: Final = 20_000


@dataclass(slots=True)
class World:
    """The state that outlives a member. The log is fixed.

    A record is readable from its arrival on, or up to a millisecond later, because append times are whole milliseconds.
    """

    config: AlignConfig
    log: Mapping[Modality, Sequence[Entry]]
    results: list[tuple[int, ClosedWindow]] = field(default_factory=list)  # (append time, result)
    letters: list[Entry] = field(default_factory=list)
    committed: dict[Modality, int] | None = None
    needed_by: dict[tuple[Modality, int], frozenset[str]] = field(default_factory=dict)  # windows, by record
    chance: Random | None = None
    readable_from_ns: dict[Modality, list[int]] = field(init=False)

    def __post_init__(self) -> None:
        """Compute from when on each record is readable."""
        self.readable_from_ns = {
            modality: list(accumulate((entry.arrival_ns + self._lag_ns() for entry in self.log[modality]), max))
            for modality in READING_ORDER
        }

    def _lag_ns(self) -> int:
        return 0 if self.chance is None else self.chance.choice((0, NS_PER_MS // 3, NS_PER_MS - 1))

    @classmethod
    def of(cls, config: AlignConfig, entries: Iterable[Entry], chance: Random | None = None) -> World:
        """Return a world whose log is `entries`, with offsets from 0 in each partition."""
        log: dict[Modality, list[Entry]] = {modality: [] for modality in READING_ORDER}
        for entry in entries:
            log[entry.modality].append(entry)
        return cls(config, log, chance=chance)

    def ends(self, now_ns: int) -> dict[Modality, int]:
        """Return the end offset of each partition."""
        return {modality: bisect_right(times, now_ns) for modality, times in self.readable_from_ns.items()}

    def begin(self) -> dict[Modality, int]:
        """Return the offsets at which a new member starts to read."""
        return dict(self.committed or dict.fromkeys(READING_ORDER, 0))

    @property
    def largest_bytes(self) -> int:
        """The size of the largest record."""
        return max((entry.size_bytes for entries in self.log.values() for entry in entries), default=0)

    def next_append_after(self, now_ns: int) -> int | None:
        """Return when the next record becomes readable."""
        ends = self.ends(now_ns)
        nexts = [times[ends[modality] :] for modality, times in self.readable_from_ns.items()]
        return min((times[0] for times in nexts if times), default=None)

    @property
    def all_forgotten_ns(self) -> int:
        """A time at which every stream is forgotten."""
        last_ns = max((times[-1] for times in self.readable_from_ns.values() if times), default=0)
        return last_ns + 2 * (self.config.stream_ttl_ns + self.config.idle_timeout_ns) + NS_PER_S

    def restored(self, now_ns: int) -> dict[str, Snapshot]:
        """Return the last snapshot of each stream in the tail of the results topic (alignment rule 19)."""
        since_ns = -1
        if self.committed is not None:
            ends = self.ends(now_ns)
            heads = [
                self.log[modality][offset].arrival_ns if offset < ends[modality] else now_ns
                for modality, offset in self.committed.items()
            ]
            since_ns = min(heads) - self.config.stream_ttl_ns - TAIL_MARGIN_NS
        return {result.stream: result.snapshot for at_ns, result in self.results if at_ns >= since_ns}

    def published_ids(self) -> list[str]:
        """Return the ids on the results topic, in order."""
        return [identity(result) for _, result in self.results]


class Member:
    """A temporary owner of the partition."""

    def __init__(self, world: World, now_ns: int) -> None:
        """Start at the committed offsets with the last snapshots of the streams."""
        self.world = world
        start, restored = world.begin(), world.restored(now_ns)
        self.aligner = Aligner(world.config, start, restored)
        self.offset_tracker = OffsetTracker(start, restored)
        self.positions = start
        self.decisions: list[Decision] = []
        self._largest_poll_bytes = 0
        self._unpublished: deque[tuple[Pending | None, ClosedWindow | DeadLettered]] = deque()

    def poll(self, now_ns: int, chance: Random | None = None) -> int:
        """Read all that is readable in partitions that are not paused (with `chance`: some of it). Return the count."""
        ends, paused, brought = self.world.ends(now_ns), self.aligner.too_far_ahead(), []
        for modality in READING_ORDER:
            position = self.positions[modality]
            count = 0 if modality in paused else ends[modality] - position
            if chance is not None and count:
                count = min(count, chance.choice((0, 1, 2, 3, 8, 1000)))
            brought += self.world.log[modality][position : position + count]
            self.positions[modality] = position + count
        for entry in brought:
            self.offset_tracker.add(entry.modality, entry.offset, entry.stream)
        self.offset_tracker.update_positions(self.positions)
        self.aligner.add_records(brought, self.positions, at_ns=now_ns)
        self.check_bounds(sum(entry.size_bytes for entry in brought))
        return len(brought)

    def check_bounds(self, brought_bytes: int) -> None:
        """Check the memory bound: open windows, held frames, records read ahead, and one poll."""
        config, streams = self.world.config, len(self.aligner.streams())
        self._largest_poll_bytes = max(self._largest_poll_bytes, brought_bytes)
        ahead_bytes = len(READING_ORDER) * (config.ahead_max_bytes + self._largest_poll_bytes)
        most_bytes = config.partition_max_bytes + streams * self.world.largest_bytes + ahead_bytes
        assert self.aligner.held_bytes <= most_bytes, f"holds {self.aligner.held_bytes} of {most_bytes} bytes"

    def ask(self, now_ns: int) -> None:
        """Query the end offsets."""
        ends = self.world.ends(now_ns)
        at_end = [modality for modality in READING_ORDER if ends[modality] == self.positions[modality]]
        self.aligner.confirm_at_end(at_end, at_ns=now_ns, wall_ns=now_ns)

    def decide(self) -> None:
        """Make all possible decisions."""
        for decision in self.aligner.advance():
            self.decisions.append(decision)
            match decision:
                case ClosedWindow():
                    self._unpublished.append(
                        (self.offset_tracker.await_result(decision.stream, decision.snapshot), decision)
                    )
                case DeadLettered(entry=entry, counted=known):
                    pending = (
                        None
                        if known
                        else self.offset_tracker.await_dead_letter(entry.modality, entry.offset, entry.stream)
                    )
                    self._unpublished.append((pending, decision))
                case Forgotten():
                    self.offset_tracker.forget(decision.stream, decision.positions)
                case LateItem(entry=entry) | DroppedRecord(entry=entry):
                    if entry.redriven and not (isinstance(decision, LateItem) and decision.revises):
                        self.offset_tracker.finish_now(entry.modality, entry.offset, entry.stream)

    def publish(self, now_ns: int, chance: Random | None = None) -> None:
        """Publish all results (with `chance`: some), each stream in order, dead letters before later results."""
        count = len(self._unpublished)
        if chance is not None:
            count = min(count, chance.choice((0, 0, 1, 2, 5, 1000)))
        for pending, decision in self.hand_on(count, chance):
            if isinstance(decision, DeadLettered):
                self.world.letters.append(decision.entry)
            else:
                self.world.results.append((now_ns, decision))
            if pending is not None:
                self.offset_tracker.complete(pending)

    def hand_on(self, count: int, chance: Random | None) -> list[tuple[Pending | None, ClosedWindow | DeadLettered]]:
        """Return up to `count` unpublished decisions, in an order in which they can be published."""
        return [self._next_to_publish(chance) for _ in range(min(count, len(self._unpublished)))]

    def _next_to_publish(self, chance: Random | None) -> tuple[Pending | None, ClosedWindow | DeadLettered]:
        choices: dict[str, int] = {}
        for index, (_, decision) in enumerate(self._unpublished):
            if isinstance(decision, DeadLettered):
                if not choices:
                    choices[""] = index
                break
            choices.setdefault(decision.stream, index)
        index = 0 if chance is None else chance.choice(list(choices.values()))
        chosen = self._unpublished[index]
        del self._unpublished[index]
        return chosen

    def commit(self) -> None:
        """Commit the finished offsets. Check that every window which needs a lower one is published."""
        offsets = self.offset_tracker.committable()
        published = set(self.world.published_ids())
        for (modality, offset), windows in self.world.needed_by.items():
            if offset < offsets[modality]:
                missing = windows - published
                assert not missing, f"committed {modality} {offsets[modality]}, but {offset} is needed by {missing}"
        self.world.committed = offsets


def replay(config: AlignConfig, entries: Sequence[Entry], chance: Random | None = None) -> list[Decision]:
    """Read a complete log: at once, or with `chance` in batches."""
    return _reader(config, entries, chance).decisions


def live(config: AlignConfig, entries: Sequence[Entry], chance: Random) -> list[Decision]:
    """Read a log while it grows."""
    world = World.of(config, entries, chance)
    member = Member(world, 0)
    _drive(member, chance, now_ns=0)
    return member.decisions


def disturbed(config: AlignConfig, entries: Sequence[Entry], chance: Random, *, hand_over: float = 0.3) -> World:
    """Read a log with members that crash or, with probability `hand_over`, hand over. Return the world afterwards."""
    world = World.of(config, entries, chance)
    world.needed_by = needed_by(replay(config, entries))
    now_ns = chance.choice((0, 0, world.all_forgotten_ns // 2, world.all_forgotten_ns))
    for _ in range(chance.choice((1, 2, 3, 6, 12))):
        member = Member(world, now_ns)
        now_ns = _drive(member, chance, now_ns=now_ns, steps=chance.choice((1, 3, 10, 30, 100)))
        if chance.random() < hand_over:
            member.publish(now_ns)
            member.commit()
        now_ns += chance.choice((0, 0, NS_PER_MS, NS_PER_S, 20 * NS_PER_S, 100 * NS_PER_S))
    member = Member(world, now_ns)
    _drive(member, chance, now_ns=now_ns)
    member.publish(now_ns)
    member.commit()
    return world


def _reader(config: AlignConfig, entries: Sequence[Entry], chance: Random | None = None) -> Member:
    world = World.of(config, entries)
    now_ns = world.all_forgotten_ns
    member = Member(world, now_ns)
    _drive(member, chance, now_ns=now_ns)
    return member


def _drive(member: Member, chance: Random | None, *, now_ns: int, steps: int = MOST_STEPS) -> int:
    """Run a member until nothing is left to do, or for `steps` steps. Return the time."""
    world = member.world
    for step in range(steps):
        brought = member.poll(now_ns, chance)
        member.decide()
        next_wakeup = member.aligner.next_wakeup()
        if any(moment_ns is not None and moment_ns <= now_ns for moment_ns in (next_wakeup.at_ns, next_wakeup.wall_ns)):
            member.ask(now_ns)
            member.decide()
        if chance is not None:
            member.publish(now_ns, chance)
            if chance.random() < 0.3:
                member.commit()
        ends = world.ends(now_ns)
        if brought or any(member.positions[modality] < ends[modality] for modality in READING_ORDER):
            now_ns += (
                QUERY_DELAY_NS
                if chance is None
                else chance.choice(
                    (0, NS_PER_MS // 2, NS_PER_MS, QUERY_DELAY_NS, 3 * NS_PER_MS, 3 * NS_PER_MS, 2 * NS_PER_S)
                )
            )
            continue
        next_wakeup = member.aligner.next_wakeup()
        moments = [world.next_append_after(now_ns), next_wakeup.at_ns, next_wakeup.wall_ns]
        upcoming = [moment for moment in moments if moment is not None]
        if not upcoming:
            return now_ns
        if step == MOST_STEPS - 1:
            raise AssertionError("the simulation does not end")
        now_ns = max(now_ns, min(upcoming))
        if chance is not None:
            now_ns += chance.choice((0, 0, 0, 0, NS_PER_MS // 2, NS_PER_MS, 20 * NS_PER_MS, NS_PER_S, 15 * NS_PER_S))
    return now_ns


def needed_by(decisions: Iterable[Decision]) -> dict[tuple[Modality, int], frozenset[str]]:
    """Return the ids of the windows that need each record."""
    needed: dict[tuple[Modality, int], set[str]] = {}
    for window in windows_of(decisions):
        items = [item for items in window.items.values() for item in items]
        for item in [*items, window.held] if window.held else items:
            needed.setdefault((item.modality, item.offset), set()).add(identity(window))
    return {record: frozenset(windows) for record, windows in needed.items()}


# --- inspection -------------------------------------------------------------------------------------------------------


def windows_of(decisions: Iterable[Decision]) -> list[ClosedWindow]:
    """Return the closed windows, in order."""
    return [decision for decision in decisions if isinstance(decision, ClosedWindow)]


def by_stream(windows: Iterable[ClosedWindow]) -> dict[str, list[ClosedWindow]]:
    """Return the windows of each stream, in order."""
    streams: dict[str, list[ClosedWindow]] = {}
    for window in windows:
        streams.setdefault(window.stream, []).append(window)
    return streams


def identity(window: ClosedWindow) -> str:
    """Return the id of the window's result."""
    return f"{window.stream}/{window.start_ns}-{window.end_ns}/{window.revision}"


def contents(window: ClosedWindow) -> tuple[object, ...]:
    """Return all facts of a window except the offsets of its records."""
    return (
        identity(window),
        window.closed_by,
        (window.skipped, window.dead, window.snapshot.clock_ns, window.added),
        {modality: [item.payload for item in items] for modality, items in window.items.items()},
        window.states,
        None if window.held is None else window.held.payload,
    )


def described(window: ClosedWindow) -> str:
    """Return what a consumer sees of a window, as one line."""
    items = {modality: [item.offset for item in items] for modality, items in window.items.items() if items}
    held = "" if window.held is None else f" held {window.held.offset}"
    states = " ".join(f"{modality}:{state}" for modality, state in window.states.items())
    return (
        f"{identity(window)} {window.start_ns / NS_PER_S:g}-{window.end_ns / NS_PER_S:g} {window.closed_by} [{states}] "
        f"{items}{held} skipped {window.skipped} dead {window.dead} added {window.added}"
    )


def printed(entries: Sequence[Entry]) -> str:
    """Return a log as readable lines, with times in seconds."""
    return "\n".join(
        f"{entry.arrival_ns / NS_PER_S:10.3f} {entry.modality:>9} {entry.offset:<3} {entry.stream}:{entry.session:<3} "
        f"{entry.kind.value:<8} seq {entry.seq!s:<4} [{entry.start_ns / NS_PER_S:g}, {entry.end_ns / NS_PER_S:g}) "
        f"watermark {entry.watermark_ns / NS_PER_S:g} tracks {','.join(entry.tracks) or '-'} {entry.size_bytes} B"
        for entry in sorted(entries, key=lambda entry: entry.arrival_ns)
    )
