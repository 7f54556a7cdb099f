"""A stream whose audio stops without an end: the worker waits for it until the idle timeout, live and on replay."""

from __future__ import annotations

import time
from contextlib import closing
from itertools import groupby
from typing import TYPE_CHECKING

from tests.e2e.programs import Installation, assert_equal_results, wait_until
from tests.worker.world import SECOND, Feed
from triptych.schemas.codec import decode, decode_result, encode
from triptych.schemas.names import MODALITY_OF, STATE_HEADER, TOPIC_OF, results_topic
from triptych.transport.records import Message
from triptych.worker.alignment.snapshot import Snapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from triptych.schemas.names import Modality
    from triptych.schemas.records import InputRecord

IDLE_S = 2
FILM_S = 9
SOUND_S = 3
WINDOWS = FILM_S
SETTINGS = {"TRIPTYCH_ALIGN_IDLE_TIMEOUT_MS": str(IDLE_S * 1000), "TRIPTYCH_WINDOW_SIZE_MS": "1000"}
PUBLISHING_S = 30
"""The time allowed from closing a window to publishing it, on a busy machine."""


def _records() -> Iterator[tuple[float, InputRecord]]:
    """Yield each record with the second at which it is sent. The audio stops without an end record."""
    feed = Feed("studio", "s1")
    for half in range(2 * FILM_S):
        at_s = half / 2
        yield at_s, feed.frame(at_s)
        if at_s < SOUND_S:
            yield at_s, feed.chunk(at_s)
        yield at_s, feed.progress("subtitles", at_s, at_s + 0.5)
        yield at_s + 0.25, feed.frame(at_s + 0.25)
    yield FILM_S, feed.end("video", FILM_S)
    yield FILM_S, feed.end("subtitles", FILM_S)


def _play(here: Installation) -> None:
    """Send the records at their times, as a live stream does."""
    started_s = time.monotonic()
    with closing(here.transport()) as transport:
        publisher = transport.publisher()
        for due_s, records in groupby(_records(), key=lambda pair: pair[0]):
            time.sleep(max(0.0, started_s + due_s - time.monotonic()))  # in real time
            for _, record in records:
                wire = encode(record)
                publisher.send(Message(TOPIC_OF[record.modality], wire.key, wire.value, wire.headers))
            publisher.flush(30)


def test_a_track_without_an_end_is_waited_for_until_the_idle_timeout(
    install: Callable[..., Installation],
) -> None:
    """Live and on replay the same windows close with idle audio, and none later than the timeout allows."""
    here = install(**SETTINGS)
    with here.running("work") as worker:
        worker.wait_for("partitions_assigned")
        _play(here)
        wait_until(lambda: here.count_results() == WINDOWS, f"{WINDOWS} results of the live feed")
        worker.stop().succeeded()

    results = sorted(here.in_topic(), key=lambda result: result.start_ns)
    assert [result.closed_by for result in results] == ["progress"] * SOUND_S + ["idle"] * (WINDOWS - SOUND_S)
    assert [result.modalities.audio.state for result in results] == [
        *["present"] * SOUND_S,
        *["idle"] * (WINDOWS - SOUND_S),
    ]
    decided_ns, heard = _decided_ns(here), _watermarks(here)
    held_ns = [decided_ns[result.id] - _reached_ns(heard, result.end_ns) for result in results]
    assert all(0 <= ns <= IDLE_S * SECOND for ns in held_ns), held_ns
    published_ns = [result.published_ns - decided_ns[result.id] for result in results]
    assert all(ns <= PUBLISHING_S * SECOND for ns in published_ns), published_ns

    later = here.other_pipeline(f"{here.pipeline}-later")
    later.run("work", "--until-end").succeeded()
    assert_equal_results(later.in_topic(), results)
    assert _decided_ns(later) == decided_ns


def _decided_ns(here: Installation) -> dict[str, int]:
    """Return the arrival clock at which the window of each result closed."""
    return {
        decode_result(record.key, record.value, record.headers).id: Snapshot.from_json(
            dict(record.headers)[STATE_HEADER]
        ).clock_ns
        for record in here.records(results_topic(here.pipeline))
    }


def _watermarks(here: Installation) -> dict[Modality, list[tuple[int, int]]]:
    """Return the watermarks of each track and their arrival times, in order."""
    return {
        modality: [
            (decode(record.key, record.value, record.headers, modality=modality).watermark_ns, record.arrival_ns)
            for record in here.records(topic)
        ]
        for topic, modality in MODALITY_OF.items()
    }


def _reached_ns(heard: Mapping[Modality, Sequence[tuple[int, int]]], end_ns: int) -> int:
    """Return when the watermarks of all tracks had passed a time, ignoring audio if its never did."""
    reached = [[arrival_ns for watermark_ns, arrival_ns in track if watermark_ns >= end_ns] for track in heard.values()]
    return max(min(arrivals_ns) for arrivals_ns in reached if arrivals_ns)
