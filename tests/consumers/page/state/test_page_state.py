"""All that the page knows: bounded, and told to each client once, also over a restart of the server."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING

import pytest

from triptych.consumers.page.api_types import FeedTile
from triptych.consumers.page.state.broadcast import CursorGoneError
from triptych.consumers.page.state.change_queue import ChangeQueue
from triptych.consumers.page.state.page_cursor import LAST_STEP, PageCursor, Place, parse_page_cursor
from triptych.consumers.page.state.page_state import PageState, StateLimits
from triptych.consumers.page.state.review_list import ReviewLimits
from triptych.schemas.perception.descriptions import Description
from triptych.schemas.perception.matches import Match
from triptych.schemas.perception.prompts import Feedback
from triptych.schemas.results import ModelReference
from triptych.units import NS_PER_S

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.consumers.page.state.conftest import ReadAs
    from triptych.consumers.page.state.feed_state import ReadResult

EPOCH = "the topic"


def everything(_: str) -> bool:
    """See every feed."""
    return True


def started(read: Iterable[ReadResult] = (), *, limits: StateLimits | None = None, begin: int = 0) -> PageState:
    """Return the state of a server that has read results."""
    state = PageState(limits)
    state.begin(EPOCH, {0: begin, 1: begin})
    state.add_results(read)
    state.catching_up = False
    return state


def tiles(state: PageState) -> list[FeedTile]:
    """Return the tiles, which clients get as JSON."""
    return [FeedTile.model_validate_json(tile) for tile in state.tiles_json(everything)]


def drained(queue: ChangeQueue, most: int | None = None) -> list[tuple[str, str]]:
    """Take the changes that wait."""
    taken: list[tuple[str, str]] = []
    while (most is None or len(taken) < most) and (key := queue.take()) is not None:
        taken.append(tuple(key))
    return taken


def feedback(read: ReadResult, answer: str) -> Feedback:
    """Answer a result."""
    fields = {"result_id": read.result.id, "stream": read.result.stream, "prompt": "fire", "answer": answer}
    model = ModelReference(name="m", version="1", sha256="0")
    return Feedback.model_validate(fields | {"match": Match(score=1, log_odds=1), "model": model, "given_ns": 1})


def test_a_tile_shows_the_newest_window(read_as: ReadAs) -> None:
    """And sparklines of the windows before it."""
    state = started(read_as(number, novelty=number / 100) for number in range(100))
    [tile] = tiles(state)
    assert tile.window_id == read_as(99).window.window_id
    assert len(tile.sparklines.novelty) == 60
    assert tile.sparklines.novelty[-1] == 0.99
    assert tile.modalities.model_dump() == {"video": "ok", "audio": "empty", "text": "missing"}
    assert tile.lag_s == 0.25


def test_a_feed_that_was_started_again_at_an_earlier_time_shows_what_comes_now(read_as: ReadAs) -> None:
    """And a revision of an earlier window does not take its place."""
    state = started(read_as(number) for number in (100, 101, 3, 4))
    assert tiles(state)[0].window_id == read_as(4).window.window_id
    state.add_results([read_as(101, revision=1)])
    assert tiles(state)[0].window_id == read_as(4).window.window_id
    state.add_results([read_as(4, revision=1, fire=0.75)])
    assert tiles(state)[0].matches == {"fire": 0.75}


def test_what_matches_is_new_or_broken_gets_attention(read_as: ReadAs) -> None:
    """The strongest reason first."""
    state = started([read_as(0, "calm"), read_as(0, "hot", fire=0.95, novelty=0.3, dead=2)])
    calm, hot = sorted(tiles(state), key=lambda tile: tile.attention)
    assert (calm.feed, calm.attention, calm.attention_why) == ("calm", 0.0, ())
    assert hot.attention_why == ("match", "dead_letters", "novelty")
    assert hot.attention > 0.95


def test_nobody_sees_or_hears_of_other_feeds(read_as: ReadAs) -> None:
    """Neither tiles nor changes nor events."""
    state = started([read_as(0, "mine", fire=0.9), read_as(0, "other", fire=0.9)])
    queue = state.listen(PageCursor(EPOCH, {}), "mine".__eq__)
    state.add_results([read_as(1, "other", fire=0.9), read_as(1, "mine", fire=0.0)])
    assert {name.split(":")[2] if kind == "review" else name for kind, name in drained(queue)} == {"mine"}
    assert [json.loads(tile)["feed"] for tile in state.tiles_json("mine".__eq__)] == ["mine"]
    assert queue.places() == state.cursor().places


@pytest.mark.parametrize("seed", range(20))
def test_over_a_restart_nothing_is_missed_and_nothing_comes_twice(read_as: ReadAs, seed: int) -> None:
    """A client breaks off anywhere and comes back to another server, which may still be reading older results."""
    chance = random.Random(seed)  # noqa: S311 - a test
    log = [
        read_as(number, feed, partition=number_of_feed % 2, fire=chance.random())
        for number in range(12)
        for number_of_feed, feed in enumerate("abcde")
    ]
    breaks_at, reads_before = sorted((chance.randrange(len(log)), chance.randrange(len(log))), reverse=True)
    before = started(log[:20])
    queue = before.listen(before.cursor(), everything)
    before.add_results(log[20:breaks_at])
    seen = drained(queue, chance.randrange(10))
    waiting = {tuple(key) for key in queue._order}  # noqa: SLF001 - what a client without the break would have got
    cursor = parse_page_cursor(str(before.cursor(queue.places())))

    after = started(log[:reads_before])
    queue = after.listen(cursor, everything)
    after.add_results(log[reads_before:breaks_at])
    assert set(drained(queue)) == waiting
    after.add_results(log[breaks_at:])
    came = drained(queue)
    undisturbed = started(log[:breaks_at])
    expected = undisturbed.listen(undisturbed.cursor(), everything)
    undisturbed.add_results(log[breaks_at:])
    assert sorted(came) == sorted(drained(expected))
    assert len(set(seen)) == len(seen)
    assert tiles(after) == tiles(undisturbed)


def test_a_cursor_of_another_topic_or_time_is_gone() -> None:
    """The client loads everything again instead of missing something."""
    state = started(begin=100)
    with pytest.raises(CursorGoneError, match="created again"):
        state.listen(PageCursor("another", state.cursor().places), everything)
    for unseen in (Place(98, LAST_STEP), Place(99, 0), Place(99, -1)):
        with pytest.raises(CursorGoneError, match="older"):
            state.listen(PageCursor(EPOCH, {"r0": unseen}), everything)
    for seen in (Place(99, LAST_STEP), Place(100, -1), state.cursor().places["r0"]):
        state.listen(PageCursor(EPOCH, {"r0": seen}), everything)


def test_a_wall_from_before_reading_has_begun_gets_every_change(read_as: ReadAs) -> None:
    """Its cursor is not that of another topic: its client has seen nothing."""
    state = PageState()
    assert not state.has_begun
    cursor = parse_page_cursor(str(state.cursor()))
    state.begin(EPOCH, {0: 0})
    assert state.has_begun
    state.add_results([read_as(0, "a")])
    assert drained(state.listen(cursor, everything)) == [("tile", "a")]


def test_a_topic_that_was_created_again_lets_clients_load_again(read_as: ReadAs) -> None:
    """Its places mean other results."""
    state = started([read_as(0)])
    queue = state.listen(state.cursor(), everything)
    state.begin("created again", {0: 0})
    assert queue.overflown


def test_an_answer_and_a_description_reach_the_client_once(read_as: ReadAs) -> None:
    """They come from logs of their own, with places of their own."""
    first = read_as(0, fire=0.9)
    state = started([first])
    queue = state.listen(state.cursor(), everything)
    state.add_feedback(feedback(first, "yes"), 7)
    [(_, event_id)] = drained(queue)
    event = state.review(event_id)
    assert event is not None
    assert event.answer == "yes"
    window = {"start_ns": first.window.start_ns, "end_ns": first.window.end_ns}
    fields = {"result": first.result.id, "prompt_hash": "0" * 16, "stream": "city", "published_ns": 1, "model": "m"}
    described = {"language": "English", "outcome": "described", "title": "A fire"}
    state.add_description(Description.model_validate(fields | window | described), 0, 3)
    assert drained(queue) == [("review", event_id)]
    event = state.review(event_id)
    assert event is not None
    assert event.description is not None
    assert event.description.title == "A fire"
    again = state.listen(parse_page_cursor(str(state.cursor(queue.places()))), everything)
    assert drained(again) == []


def test_a_feed_that_falls_silent_is_told_once(read_as: ReadAs) -> None:
    """One that has ended is not silent."""
    limits = StateLimits(silent_after_ns=60 * NS_PER_S)
    state = started([read_as(0, "open"), read_as(0, "ended", closed_by="end")], limits=limits)
    queue = state.listen(state.cursor(), everything)
    last_ns = read_as(0).result.published_ns
    state.look_for_silence(last_ns + 59 * NS_PER_S)
    assert drained(queue) == []
    for _ in range(2):
        state.look_for_silence(last_ns + 61 * NS_PER_S)
    assert drained(queue) == [("tile", "open")]
    tile = state.tile("open")
    assert tile is not None
    assert tile.attention_why == ("silent",)
    state.add_results([read_as(1, "open")])
    tile = state.tile("open")
    assert tile is not None
    assert tile.attention_why == ()


def test_the_memory_is_bounded_by_feeds_windows_and_events(read_as: ReadAs) -> None:
    """Whatever comes: the feed that was silent for longest is forgotten first."""
    limits = StateLimits(windows=600, feeds=5, reviews=ReviewLimits(kept=10))
    state = started(limits=limits)
    for number in range(400):
        state.add_results([read_as(number, f"feed-{number % 7}", fire=0.9 if number % 3 else 0.0)])
    assert len(state.feeds) == 5
    assert "feed-0" in state.feeds
    assert len(state.reviews) == 10
    assert state.counts["feeds_forgotten"] > 0
    changes = state._changes(everything)  # noqa: SLF001 - what a client without a cursor gets
    assert len(changes) <= 5 + 10


def test_the_bound_of_windows_holds_over_feeds_that_have_ended(read_as: ReadAs) -> None:
    """They share it with those that come later, although no window of theirs comes any more."""
    state = started(limits=StateLimits(windows=600))
    state.add_results(read_as(number, "ended") for number in range(600))
    assert state.windows == 600
    for name in "abcd":
        state.add_results(read_as(number, name) for number in range(150))
    slack, minutes = 5 * 32, (600 + 4 * 150) // 30
    assert state.windows <= 600 + slack + minutes
    covered = state.feeds["ended"].history.range(0, 2**62)
    assert sum(window.windows for window in covered) == 600  # merged, not lost


def test_a_slow_client_holds_one_change_of_each_feed(read_as: ReadAs) -> None:
    """However long it sleeps."""
    state = started()
    queue = state.listen(state.cursor(), everything)
    for number in range(300):
        state.add_results(read_as(number, feed) for feed in "abc")
    assert (len(queue), state.coalesced) == (3, 3 * 299)
    state.leave(queue)
    assert state.coalesced == 3 * 299


def test_boxes_come_when_the_size_of_the_pictures_is_known(read_as: ReadAs) -> None:
    """They are relative to the picture."""
    start_ns = read_as(0).window.start_ns
    seen = {"time_ns": start_ns, "label": "cat", "score": 0.9, "box": (64, 36, 320, 400)}
    state = started([read_as(0, detections=(seen,))])
    queue = state.listen(state.cursor(), everything)
    state.set_picture_size("city", (640, 360))
    state.set_picture_size("city", (640, 360))
    assert drained(queue) == [("tile", "city")]
    tile = state.tile("city")
    assert tile is not None
    assert tile.boxes[0].box == (0.1, 0.1, 0.5, 1.0)
