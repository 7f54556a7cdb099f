"""Grow the topics of a real broker around producers that are stopped, while workers run (docs/growing-topics.md)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

from tests.e2e.programs import Installation, by_id, wait_until
from triptych.schemas.codec import decode
from triptych.schemas.names import VIDEO_TOPIC, dead_topic
from triptych.schemas.partition import partition_of
from triptych.schemas.records import VideoFrame

pytestmark = pytest.mark.timeout(300)  # the client notices new partitions within 30 s
BEFORE, AFTER = 6, 9
WINDOW_NS = 2_000_000_000
MOVES = next(
    name
    for name in (f"a-{number}" for number in range(100))
    if partition_of(name.encode(), BEFORE) != partition_of(name.encode(), AFTER) >= BEFORE
)
"""A stream whose partition is a new one after the growth. `topics grow` names the first ten that move, and other tests
may have used the broker a moment ago: its name comes before theirs."""
STAYS = next(
    name
    for name in (f"a-{number}" for number in range(100))
    if partition_of(name.encode(), BEFORE) == partition_of(name.encode(), AFTER)
)
"""A stream that stays where it is."""


def pictures_sent(here: Installation) -> Counter[tuple[str, int]]:
    """Return how many pictures each stream has sent of each window."""
    found: Counter[tuple[str, int]] = Counter()
    for record in here.each_record(VIDEO_TOPIC):
        decoded = decode(record.key, record.value, record.headers, modality="video")
        if isinstance(decoded, VideoFrame):
            found[decoded.stream, decoded.start_ns // WINDOW_NS * WINDOW_NS] += 1
    return found


def pictures_published(here: Installation) -> Counter[tuple[str, int]]:
    """Return how many pictures the newest result of each window has. No result is there twice."""
    newest: dict[tuple[str, int], tuple[int, int]] = {}
    for result in by_id(here.in_topic()).values():
        at = (result.stream, result.start_ns)
        newest[at] = max(newest.get(at, (-1, 0)), (result.revision, result.modalities.video.items))
    return Counter({at: items for at, (_, items) in newest.items() if items})


def results_on(here: Installation, stream: str, partition: int) -> int:
    """Return how many results of a stream rest on pictures of a partition."""
    return sum(result.stream == stream and result.modalities.video.partition == partition for result in here.in_topic())


def test_topics_grow_around_stopped_producers(install: Callable[..., Installation], clip: Callable[[str], str]) -> None:
    """It refuses while they run. Then streams go on, one of them elsewhere; no window is lost, split or double."""
    here = install(TRIPTYCH_ALIGN_IDLE_TIMEOUT_MS="3000", TRIPTYCH_ALIGN_PAUSE_MS="1000")
    at_before, at_after = (partition_of(MOVES.encode(), count) for count in (BEFORE, AFTER))

    def playing(stream: str) -> tuple[str, ...]:
        return ("produce", clip("librivox_city_15s.mkv"), "--stream", stream, "--realtime", "--loop", "0")

    with here.running("work") as one, here.running("work") as other:
        with here.running(*playing(MOVES)) as moves, here.running(*playing(STAYS)) as stays:
            wait_until(lambda: results_on(here, MOVES, at_before) >= 2, "results before the growth")
            refused = here.run("topics", "grow", "--partitions", str(AFTER))
            assert refused.exit_code == 2, refused.out
            assert MOVES in refused.err or STAYS in refused.err
            assert "stop their producers" in refused.err
            moves.stop().succeeded()
            stays.stop().succeeded()
        grown = here.run("topics", "grow", "--partitions", str(AFTER), "--timeout", "60").succeeded()
        assert f"{MOVES} ({at_before} -> {at_after})" in grown.out
        with here.running(*playing(MOVES)) as moves, here.running(*playing(STAYS)) as stays:
            wait_until(lambda: results_on(here, MOVES, at_after) >= 2, "results after the growth")
            moves.stop().succeeded()
            stays.stop().succeeded()
        wait_until(lambda: pictures_published(here) == pictures_sent(here), "all windows, complete")
        done = [worker.stop().succeeded() for worker in (one, other)]

    assert all("Traceback" not in each.err for each in done)
    assert any(each.events("topics_grown") for each in done)
    assert here.records(dead_topic(here.pipeline)) == []
    assert here.run("topics", "grow", "--partitions", str(AFTER)).succeeded().out.startswith("nothing to do")
