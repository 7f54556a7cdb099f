"""Late records in a whole worker: revised windows, dead letters and redrives."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.worker.world import Feed, World
from triptych.consumers.dead.letters import Selection, read_letters
from triptych.consumers.dead.redrive import plan, redrive
from triptych.schemas.codec import encode
from triptych.schemas.names import TOPIC_OF
from triptych.schemas.reasons import DeadReason
from triptych.schemas.records import InputRecord, VideoFrame
from triptych.schemas.results import Result
from triptych.settings.loading import load
from triptych.transport.records import Message
from triptych.worker.observability.events import (
    LateItemReceived,
    RecordDeadLettered,
    RevisionStateEvicted,
    WindowClosed,
    WindowRevised,
)

MakeFeed = Callable[..., Feed]
REVISE = {"model.name": "null", "batch.max_delay_ms": 0, "align.late": "revise", "align.revise_after_ms": 100}


@pytest.fixture
def revising(world: World) -> World:
    """Return a world whose worker revises windows."""
    world.settings = load(overrides=REVISE, environ={})
    return world


def numbered(results: list[Result]) -> list[tuple[int, int]]:
    """Return the start in seconds and the revision of each window, in the order of publication."""
    first_ns = min(result.start_ns for result in results)
    return [((result.start_ns - first_ns) // 10**9, result.revision) for result in results]


def out_of_order(records: list[InputRecord], missing_s: float) -> tuple[list[InputRecord], list[InputRecord]]:
    """Return the records without the frames of one second, and those frames without sequence numbers."""
    frames = [record for record in records if isinstance(record, VideoFrame)]
    first_ns = frames[0].start_ns
    late = [frame for frame in frames if missing_s <= (frame.start_ns - first_ns) / 1e9 < missing_s + 1]
    return [r for r in records if r not in late], [frame.model_copy(update={"seq": None}) for frame in late]


def test_late_frames_revise_their_window(revising: World, feed: MakeFeed) -> None:
    """The revision counts the added items and holds all items."""
    rest, late = out_of_order(feed("city").play(10, ended=False), 3)
    revising.send([*rest, *late])

    revising.work()

    results = revising.results()
    assert numbered(results) == [(0, 0), (2, 0), (4, 0), (6, 0), (8, 0), (2, 1)]
    before, after = results[1], results[-1]
    assert (before.modalities.video.items, after.modalities.video.items) == (4, 8)
    assert before.revised is None
    assert after.revised is not None
    assert after.revised.model_dump()["added"] == {"video": 4, "audio": 0, "subtitles": 0}
    assert after.modalities.audio == before.modalities.audio
    assert [document.count(b'"revised"') for document in revising.store.results("city")] == [0, 0, 0, 0, 0, 1]
    assert {event.revises for event in revising.seen(LateItemReceived)} == {True}
    assert [(event.revision, event.added) for event in revising.seen(WindowRevised)] == [(1, 4)]
    assert len(revising.seen(WindowClosed)) == 5
    assert revising.seen(RevisionStateEvicted) == []


def test_a_restart_between_revisions_keeps_their_number_and_contents(revising: World, feed: MakeFeed) -> None:
    """The next worker reads the items of the window again and continues the revision numbers."""
    rest, late = out_of_order(feed("city").play(10, ended=False), 3)
    revising.send([*rest, *late[:2]])
    revising.work()
    committed = revising.results()[-1]
    revising.send(late[2:])

    revising.work()

    assert numbered(revising.results())[-2:] == [(2, 1), (2, 2)]
    last = revising.results()[-1]
    assert (committed.modalities.video.items, last.modalities.video.items) == (6, 8)
    assert last.modalities.audio.items == 4
    assert last.revised is not None
    assert last.revised.added.video == 2


def test_late_items_become_dead_letters_if_the_settings_ask_for_it(world: World, feed: MakeFeed) -> None:
    """Redriven, they are late again and become the same dead letters."""
    world.settings = load(overrides={**REVISE, "align.late": "drop", "align.late_letters": True}, environ={})
    rest, late = out_of_order(feed("city").play(10, ended=False), 3)
    world.send([*rest, *late])
    world.work()
    assert numbered(world.results()) == [(0, 0), (2, 0), (4, 0), (6, 0), (8, 0)]
    assert [letter.code for letter in world.letters()] == [DeadReason.LATE] * 4
    assert {event.code for event in world.seen(RecordDeadLettered)} == {DeadReason.LATE}

    assert redrive_all(world) == 4
    world.work()

    assert len(world.results()) == 5
    dead = read_letters(world.transport, world.settings.pipeline)
    assert [dead.state(letter) for letter in dead.newest()] == ["dead_again"] * 4
    assert redrive_all(world) == 0


def test_a_redriven_record_revises_its_window(revising: World, feed: MakeFeed) -> None:
    """It was on the wrong partition. A revision with the record follows the result without it."""
    records = feed("city").play(10, ended=False)
    misplaced = next(record for record in records if isinstance(record, VideoFrame) and record.seq == 13)
    revising.send([record for record in records if record is not misplaced])
    wire = encode(misplaced)
    wrong_partition = (revising.results_partition("city") + 1) % 6
    revising.send_raw(Message(TOPIC_OF["video"], wire.key, wire.value, wire.headers, wrong_partition))
    revising.work()
    before = next(result for result in revising.results() if result.start_ns <= misplaced.start_ns < result.end_ns)
    assert (before.modalities.video.items, before.modalities.video.gaps) == (7, 1)

    assert redrive_all(revising) == 1
    revising.work()

    after = revising.results()[-1]
    assert (after.window, after.revision) == (before.window, 1)
    assert (after.modalities.video.items, after.modalities.video.gaps) == (8, 0)
    assert redrive_all(revising) == 0


def redrive_all(world: World) -> int:
    """Redrive dead letters as `triptych dead redrive` does. Return how many."""
    dead = read_letters(world.transport, world.settings.pipeline)
    wanted = plan(dead, Selection(), again=False).wanted
    return redrive(world.transport, dead, wanted, pipeline=world.settings.pipeline).redriven
