"""What each decision of alignment leads to: submitted windows and dead letters, finished records, and events."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from tests.worker.partitions.fakes import partition_set
from triptych.schemas.names import MODALITIES, VIDEO_TOPIC
from triptych.schemas.reasons import DeadReason
from triptych.transport.records import Record
from triptych.worker.alignment.decisions import (
    DeadLettered,
    Decision,
    DroppedRecord,
    EvictedRevisionState,
    Forgotten,
    LateItem,
)
from triptych.worker.alignment.entry import Entry, Kind
from triptych.worker.decision_handler import DecisionHandler
from triptych.worker.intake import Received
from triptych.worker.observability.events import (
    Event,
    LateItemReceived,
    RecordDropped,
    RevisionStateEvicted,
    StreamForgotten,
)
from triptych.worker.observability.hooks import Hooks
from triptych.worker.partitions.offset_tracker import Pending
from triptych.worker.partitions.partition import PartitionSet
from triptych.worker.publish_cutoff import EVERYTHING, PublishCutoff
from triptych.worker.publishing.messages import OutgoingDeadLetter

ARRIVAL_NS = 100


@dataclass
class FakeStages:
    """Records the dead letters that are submitted."""

    letters: list[tuple[OutgoingDeadLetter, Pending | None]] = field(default_factory=list)

    def submit_dead_letter(self, _: PartitionSet, letter: OutgoingDeadLetter, pending: Pending | None) -> None:
        """Take a dead letter."""
        self.letters.append((letter, pending))


@dataclass
class Handled:
    """One decision, carried out."""

    decision: Decision
    cutoff: PublishCutoff = EVERYTHING
    dead_letter_late: bool = False

    def __post_init__(self) -> None:
        self.stages, self.events = FakeStages(), list[Event]()
        self.partition_set = partition_set(0)
        self.partition_set.offset_tracker.add("video", 0, "city")
        self.partition_set.offset_tracker.update_positions({"video": 1})
        handler = DecisionHandler(
            self.stages,  # type: ignore[arg-type]
            Hooks([self.events.append]),
            cutoff=self.cutoff,
            dead_letter_late=self.dead_letter_late,
        )
        handler.handle(self.partition_set, self.decision)

    @property
    def is_finished(self) -> bool:
        """Whether the record at offset 0 may be committed."""
        return self.partition_set.offset_tracker.committable()["video"] == 1

    def publish(self) -> None:
        """Publish the dead letter."""
        ((_, pending),) = self.stages.letters
        assert pending is not None
        self.partition_set.offset_tracker.complete(pending)


def entry(*, redriven: bool = False, reason: str = "", code: DeadReason | None = None) -> Entry:
    """Return the entry of a video record at offset 0."""
    received = Received(Record(VIDEO_TOPIC, 0, 0, ARRIVAL_NS, b"city", b"x"), None, reason, code)
    return Entry(
        modality="video",
        offset=0,
        arrival_ns=ARRIVAL_NS,
        stream="city",
        kind=Kind.MEDIA,
        redriven=redriven,
        payload=received,
    )


@pytest.mark.parametrize("redriven", [False, True])
def test_a_dropped_record_is_finished_at_once_only_if_it_was_redriven(redriven: bool) -> None:  # noqa: FBT001
    """Any other record is finished by the next result of its stream."""
    handled = Handled(DroppedRecord(entry(redriven=redriven), "redriven" if redriven else "repeat"))

    assert handled.is_finished == redriven
    assert [type(event) for event in handled.events] == [RecordDropped]
    assert handled.stages.letters == []


@pytest.mark.parametrize("redriven", [False, True])
def test_a_late_item_is_dropped(redriven: bool) -> None:  # noqa: FBT001
    """A redriven one is finished, because no result will be."""
    handled = Handled(LateItem(entry(redriven=redriven), 0))

    assert handled.is_finished == redriven
    assert [type(event) for event in handled.events] == [LateItemReceived]
    assert handled.stages.letters == []


def test_a_late_item_that_revises_a_window_waits_for_its_result() -> None:
    """Even if it was redriven."""
    handled = Handled(LateItem(entry(redriven=True), 0, revises=True), dead_letter_late=True)

    assert not handled.is_finished
    assert handled.stages.letters == []


def test_a_late_item_goes_to_the_dead_letter_queue_if_the_settings_ask_for_it() -> None:
    """A redriven one is finished by the publication of the dead letter."""
    handled = Handled(LateItem(entry(redriven=True), 0), dead_letter_late=True)

    assert [letter.code for letter, _ in handled.stages.letters] == [DeadReason.LATE]
    assert not handled.is_finished
    handled.publish()
    assert handled.is_finished


def test_an_uncounted_dead_letter_finishes_its_record_when_it_is_published() -> None:
    """The reason is that of decoding, if there is one."""
    decision = DeadLettered(entry(reason="broken", code=DeadReason.WRONG_PARTITION), "", counted=False)

    handled = Handled(decision)

    ((letter, _),) = handled.stages.letters
    assert (letter.reason, letter.code) == ("broken", DeadReason.WRONG_PARTITION)
    assert not handled.is_finished
    handled.publish()
    assert handled.is_finished


def test_a_counted_dead_letter_is_finished_by_the_result_that_counts_it() -> None:
    """Its publication alone does not finish the record. Without a reason of decoding, the item is from the future."""
    handled = Handled(DeadLettered(entry(), "from the future", counted=True))

    ((letter, pending),) = handled.stages.letters
    assert (letter.reason, letter.code, pending) == ("from the future", DeadReason.FUTURE, None)


def test_a_forgotten_stream_finishes_its_records() -> None:
    """Up to the positions of the decision."""
    handled = Handled(Forgotten("city", dict.fromkeys(MODALITIES, 1)))

    assert handled.is_finished
    assert handled.events == [StreamForgotten("city")]


def test_evicted_revision_state_is_reported() -> None:
    """It has no effect on the offsets."""
    handled = Handled(EvictedRevisionState("city", 0, 2))

    assert handled.events == [RevisionStateEvicted("city", 0, 2)]
    assert not handled.is_finished


@pytest.mark.parametrize(
    ("decision", "is_finished"),
    [
        (DeadLettered(entry(), "", counted=False), True),
        (DeadLettered(entry(), "", counted=True), False),
        (DroppedRecord(entry(redriven=True), "redriven"), True),
        (LateItem(entry(redriven=True), 0), True),
        (LateItem(entry(redriven=True), 0, revises=True), False),
    ],
)
def test_a_decision_before_the_cutoff_publishes_nothing(decision: Decision, is_finished: bool) -> None:  # noqa: FBT001
    """A record that no result will finish is finished at once. No events are emitted."""
    handled = Handled(decision, cutoff=PublishCutoff(from_ns=ARRIVAL_NS + 1), dead_letter_late=True)

    assert handled.is_finished == is_finished
    assert handled.stages.letters == []
    assert handled.events == []
