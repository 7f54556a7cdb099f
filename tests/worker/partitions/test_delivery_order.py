"""The order take, decide, publish, finish, commit, against a model of everything that can happen in between.

The aligner and the ledger are the worker's own. The broker, the publishing thread, the group and death are the model:
batches wait in a queue, arrive, arrive in part, or do not arrive; an answer may come late or never; members lose their
partitions with batches under way, hand over, die, and others restore from the results topic.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, ClassVar, Literal

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
)

from tests.worker.alignment.logs import configs, feeds, noise
from tests.worker.alignment.script import CONFIG, Script
from tests.worker.alignment.simulation import (
    Member,
    World,
    described,
    identity,
    needed_by,
    replay,
    windows_of,
)
from triptych.units import NS_PER_MS, NS_PER_S
from triptych.worker.alignment.decisions import ClosedWindow, DeadLettered

if TYPE_CHECKING:
    from collections.abc import Sequence

    from triptych.worker.alignment.config import AlignConfig
    from triptych.worker.alignment.entry import Entry
    from triptych.worker.partitions.offset_tracker import Pending

Fate = Literal["acknowledged", "lost", "torn", "unknown"]
"""Of a batch: all is there and we know; nothing is; some is; all is and nobody told us."""

Bug = Literal[
    "commits before it publishes", "goes on after a failure", "finishes what failed", "skips the tail", "zombie"
]
"""Mistakes that the properties have to find."""

Decided = tuple["Pending | None", "ClosedWindow | DeadLettered"]

BUGS: tuple[Bug | None, ...] = (
    None,
    "commits before it publishes",
    "goes on after a failure",
    "finishes what failed",
    "skips the tail",
    "zombie",
)
FATES: tuple[Fate, ...] = ("acknowledged", "acknowledged", "acknowledged", "lost", "torn", "unknown")
STEPS = ("take", "hand_on", "hand_on", "publish", "publish", "collect", "commit", "begin_again", "lose")
RARELY = 0.3
WALKS = 150

chances = st.integers(0, 2**32 - 1).map(Random)
steps_ns = st.sampled_from(
    (0, NS_PER_MS // 2, NS_PER_MS, 20 * NS_PER_MS, NS_PER_S, 2 * NS_PER_S, 15 * NS_PER_S, 100 * NS_PER_S)
)


def films() -> Sequence[Entry]:
    """Return a log of two streams in which a window closes every two seconds."""
    script = Script("video", "audio")
    for second in range(12):
        for stream in ("a", "b"):
            script.video(second, at=100 + second, watermark=second + 1, stream=stream)
            script.audio(second, second + 1, at=100 + second, stream=stream)
    return script.entries


@dataclass(slots=True)
class Batch:
    """What the publishing thread has before it."""

    member: Member
    decided: list[Decided]


class Order(RuleBasedStateMachine):
    """One partition number, its owners, and what they leave."""

    bug: ClassVar[Bug | None] = None

    @initialize(config=configs(), entries=noise() | feeds() | st.just(films()), chance=chances)
    def begin(self, config: AlignConfig, entries: Sequence[Entry], chance: Random) -> None:
        """Make a log, and find out what one undisturbed member says of it."""
        self.config, self.entries = config, entries
        decisions = replay(config, entries)
        self.expected: dict[str, list[str]] = defaultdict(list)
        for window in windows_of(decisions):  # an id comes again only after its stream was forgotten
            self.expected[identity(window)].append(described(window))
        self.world = World.of(config, entries, chance)
        self.world.needed_by = needed_by(decisions)
        last_ns = self.world.all_forgotten_ns
        self.now_ns = chance.choice((0, last_ns // 2, last_ns, last_ns, last_ns, last_ns))
        self.batches: deque[Batch] = deque()
        self.acknowledged: deque[Batch] = deque()
        self.member = self.restored()

    def restored(self) -> Member:
        """Take over."""
        member = Member(self.world, self.now_ns)
        if self.bug == "skips the tail":
            kept, self.world.results = self.world.results, []
            member = Member(self.world, self.now_ns)
            self.world.results = kept
        return member

    # --- what the worker's own thread does ----------------------------------------------------------------------------

    @rule(chance=chances, step_ns=steps_ns)
    def take(self, chance: Random, step_ns: int) -> None:
        """Poll, ask, and decide what can be decided."""
        for _ in range(chance.choice((1, 4, 16))):
            self.now_ns += step_ns
            self.member.poll(self.now_ns, chance)
            self.member.decide()
            self.member.ask(self.now_ns)
            self.member.decide()

    @rule(chance=chances)
    def hand_on(self, chance: Random) -> None:
        """Put some of what was decided into a batch: streams in any order, each in its own."""
        decided = self.member.hand_on(chance.choice((1, 2, 5, 1000)), chance)
        if decided:
            self.batches.append(Batch(self.member, decided))
        if self.bug == "commits before it publishes":
            finish(Batch(self.member, decided))

    @precondition(lambda self: self.acknowledged)
    @rule()
    def collect(self) -> None:
        """Hear what became of a batch."""
        finish(self.acknowledged.popleft())

    @rule()
    def commit(self) -> None:
        """Commit, which looks whether all below is published."""
        self.member.commit()

    @precondition(lambda self: not self.member.offset_tracker.may_publish)
    @rule()
    def begin_again(self) -> None:
        """Drop what was withdrawn, and restore."""
        self.member = self.restored()

    # --- what the publishing thread and the broker do -----------------------------------------------------------------

    @precondition(lambda self: self.batches)
    @rule(fate=st.sampled_from(FATES))
    def publish(self, fate: Fate) -> None:
        """Publish the next batch, if it is still ours to publish."""
        batch = self.batches.popleft()
        offset_tracker = batch.member.offset_tracker
        if not offset_tracker.may_publish and self.bug != "zombie":
            return
        count = {"lost": 0, "torn": len(batch.decided) // 2}.get(fate, len(batch.decided))
        self.arrive(batch.decided[:count])
        if fate == "acknowledged":
            self.acknowledged.append(batch)
        elif self.bug == "finishes what failed":
            finish(batch)
        elif self.bug != "goes on after a failure":
            offset_tracker.abandon()

    def arrive(self, decided: Sequence[Decided]) -> None:
        """Append to the topics; every window has one content, and one place."""
        published = self.world.published_ids()
        for _, decision in decided:
            if isinstance(decision, DeadLettered):
                self.world.letters.append(decision.entry)
                continue
            name = identity(decision)
            before, expected = published.count(name), self.expected[name]
            assert before < len(expected), f"published twice: {described(decision)}"
            assert described(decision) == expected[before], f"other content: {described(decision)}"
            published.append(name)
            self.world.results.append((self.now_ns, decision))

    # --- what the group and the machine do ----------------------------------------------------------------------------

    @rule(away_ns=steps_ns)
    def lose(self, away_ns: int) -> None:
        """Lose the partitions, with batches under way that nobody calls back."""
        self.member.offset_tracker.abandon()
        self.now_ns += away_ns
        self.member = self.restored()

    @rule()
    def hand_over(self) -> None:
        """Give the partitions back in good order: finish what is under way, commit, let go."""
        while self.batches:
            self.publish("acknowledged")
        while self.acknowledged:
            self.collect()
        self.commit()
        self.lose(0)

    @rule(arrives=st.booleans(), away_ns=steps_ns)
    def die(self, *, arrives: bool, away_ns: int) -> None:
        """Die; what the client had taken may arrive or not."""
        if arrives and self.batches and self.batches[0].member.offset_tracker.may_publish:
            self.arrive(self.batches[0].decided)
        self.batches.clear()
        self.acknowledged.clear()
        self.now_ns += away_ns
        self.member = self.restored()

    # --- what must hold in the end ------------------------------------------------------------------------------------

    def teardown(self) -> None:
        """Let one last member work in peace: then all is there, and all is committed."""
        if not hasattr(self, "world"):
            return
        self.now_ns = max(self.now_ns, self.world.all_forgotten_ns)
        self.batches.clear()
        self.acknowledged.clear()
        self.member = self.restored()
        for _ in range(len(self.entries) + len(self.expected) + 10):
            if self.world.committed == self.world.ends(self.now_ns):
                break
            self.take(Random(0), NS_PER_S)  # noqa: S311 - a test's dice
            self.hand_on(Random(0))  # noqa: S311 - as above
            self.hand_over_quietly()
        expected = {name: len(each) for name, each in self.expected.items() if each}
        assert Counter(self.world.published_ids()) == expected, "lost"

    def hand_over_quietly(self) -> None:
        """Publish and commit all there is."""
        while self.batches:
            self.publish("acknowledged")
        while self.acknowledged:
            self.collect()
        self.commit()


def finish(batch: Batch) -> None:
    """Complete the tickets of a batch."""
    for pending, _ in batch.decided:
        if pending is not None:
            batch.member.offset_tracker.complete(pending)


LIMITS = settings(
    max_examples=60,
    stateful_step_count=30,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
"""The same on every machine; `HYPOTHESIS_PROFILE` does not reach here."""

TestOrder = Order.TestCase
TestOrder.settings = LIMITS


def walk(machine: Order, chance: Random) -> None:
    """Take forty steps through a plain log, and end in peace: quicker to a mistake than hypothesis is."""
    machine.begin(CONFIG, films(), chance)
    machine.now_ns = machine.world.all_forgotten_ns
    for _ in range(40):
        match chance.choice(STEPS):
            case "take":
                machine.take(chance, NS_PER_MS)
            case "hand_on":
                machine.hand_on(chance)
            case "publish" if machine.batches:
                machine.publish(chance.choice(FATES))
            case "collect" if machine.acknowledged:
                machine.collect()
            case "commit":
                machine.commit()
            case "begin_again" if not machine.member.offset_tracker.may_publish:
                machine.begin_again()
            case "lose" if chance.random() < RARELY:
                machine.lose(0)
            case _:
                pass
    machine.teardown()


@pytest.mark.parametrize("bug", BUGS)
def test_the_properties_find(bug: Bug | None) -> None:
    """Each mistake that is made on purpose, so they can fail; and no other, on the same walks."""
    machine = type("Mistaken", (Order,), {"bug": bug})
    found: set[str] = set()
    for seed in range(WALKS):
        try:
            walk(machine(), Random(seed))  # noqa: S311 - a test's dice
        except AssertionError as error:
            found.add(str(error).partition(":")[0].partition(" ")[0])
            if bug is not None:
                break

    assert bool(found) == (bug is not None), found
    assert found <= {"committed", "published", "other", "lost"}
