"""Judging what is seen of a pipeline: the first step that is wrong is the one to mend."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from triptych.consumers.doctor.judgement import Check, age, judge, stops_at
from triptych.consumers.doctor.observations import LettersSeen, PipelineSeen, StreamSeen, TrackSeen
from triptych.consumers.doctor.text import check_json, check_lines, verdict

S = 1_000_000_000
NOW = 1_767_225_600 * S


def tracks(*ages_s: float, ended: bool = False) -> tuple[TrackSeen, ...]:
    """Return video, audio and subtitles with records of these ages."""
    names = ("video", "audio", "subtitles")
    return tuple(TrackSeen(n, NOW - round(a * S), ended) for n, a in zip(names, ages_s, strict=False))  # type: ignore[arg-type]


HEALTHY = StreamSeen(
    "film", tracks(0.2, 0.5, 4), NOW - 300 * S, unread=12, oldest_unread_ns=NOW - 4 * S, result_ns=NOW - 3 * S,
    waiting_since_ns=NOW - 2 * S,
    kept_ns=NOW - 3 * S,
)  # fmt: skip
SEEN = PipelineSeen(NOW, "city", "film", 10 * S, workers=1, streams=(HEALTHY,), known=("film", "other"))


OLD_RESULT = replace(
    SEEN,
    streams=(
        replace(HEALTHY, result_ns=NOW - 600 * S, kept_ns=NOW - 600 * S, unread=0, waiting_since_ns=NOW - 590 * S),
    ),
)


def wrong(seen: PipelineSeen) -> list[str]:
    """Return the steps that are wrong, in their order."""
    return [check.step for check in judge(seen) if check.status == "wrong"]


def check(seen: PipelineSeen, step: str) -> Check:
    """Return the check of a step."""
    return next(check for check in judge(seen) if check.step == step)


def with_stream(**changes: Any) -> PipelineSeen:  # noqa: ANN401 - any field of a stream
    """Return what is seen when the stream differs."""
    return replace(SEEN, streams=(replace(HEALTHY, **changes),))


def test_a_healthy_feed_has_nothing_wrong() -> None:
    """Every step is there, in the order of the flow."""
    checks = judge(SEEN)
    steps = ["kafka", "topics", "producer", "worker", "lag", "dead letters", "results", "redis"]
    assert [each.step for each in checks] == steps
    assert {each.status for each in checks} == {"ok"}
    assert stops_at(checks) is None
    assert verdict(checks) == "Nothing is wrong."


@pytest.mark.parametrize(
    ("seen", "steps", "remedy"),
    [
        (replace(SEEN, kafka_error="no broker"), ["kafka"], "make kafka"),
        (replace(SEEN, redis_error="refused"), ["redis"], "make redis"),
        (replace(SEEN, kafka_error="no broker", redis_error="refused"), ["kafka", "redis"], "make kafka"),
        (replace(SEEN, topic_problems=("city.dead: missing",)), ["topics"], "triptych topics create --pipeline city"),
        (replace(SEEN, streams=()), ["producer"], "triptych produce"),
        (replace(SEEN, streams=(StreamSeen("film"),)), ["producer"], "--stream film"),
        (with_stream(tracks=tracks(300, 301, 300)), ["producer"], "source_lost"),
        (replace(SEEN, workers=0), ["worker"], "triptych work --pipeline city"),
        (with_stream(oldest_unread_ns=NOW - 200 * S, waiting_since_ns=NOW - 200 * S), ["lag"], "does not advance"),
        (with_stream(letters=LettersSeen(3, NOW - S, ("invalid",))), ["dead letters"], "dead list --stream film"),
        (with_stream(result_ns=None, kept_ns=None), ["results"], "readyz"),
        (OLD_RESULT, ["results"], "readyz"),
        (with_stream(kept_ns=None), ["redis"], "redis.url"),
        (with_stream(kept_ns=NOW - 600 * S), ["redis"], "cannot write"),
    ],
)  # fmt: skip
def test_each_fault_is_found_at_its_step(seen: PipelineSeen, steps: list[str], remedy: str) -> None:
    """Nothing else is called wrong, and the remedy fits."""
    assert wrong(seen) == steps
    first = stops_at(judge(seen))
    assert first is not None
    assert remedy in first.remedy


def test_a_stream_that_ended_is_healthy_however_long_ago() -> None:
    """Its last result came soon after its last record."""
    ended = with_stream(
        tracks=tracks(9_000, 9_000, ended=True), unread=4, oldest_unread_ns=NOW - 9_001 * S, result_ns=NOW - 8_990 * S,
        waiting_since_ns=None, kept_ns=NOW - 8_990 * S,
    )  # fmt: skip
    assert wrong(ended) == []
    assert "ended 2 h ago" in check(ended, "producer").found
    assert "no subtitles" in check(ended, "producer").found


def test_one_silent_track_is_noted() -> None:
    """The feed goes on without it."""
    seen = with_stream(tracks=tracks(0.2, 400, 1))
    assert wrong(seen) == []
    assert (check(seen, "producer").status, "no audio" in check(seen, "producer").remedy) == ("note", True)


@pytest.mark.parametrize(
    ("advancing", "workers", "word"), [(True, 1, "catching up"), (False, 1, "not advance"), (None, 0, "start a worker")]
)
def test_the_remedy_for_lag_depends_on_the_worker(advancing: bool | None, workers: int, word: str) -> None:  # noqa: FBT001
    """One that catches up needs time; one that stands still needs a look at its log."""
    seen = replace(
        with_stream(oldest_unread_ns=NOW - 200 * S, waiting_since_ns=NOW - 200 * S),
        is_advancing=advancing,
        workers=workers,
    )
    assert word in check(seen, "lag").remedy


def test_the_first_records_need_no_result_yet() -> None:
    """The first window may still be open."""
    seen = with_stream(first_ns=NOW - 3 * S, result_ns=None, kept_ns=None)
    assert wrong(seen) == []
    assert (check(seen, "results").status, check(seen, "redis").status) == ("note", "unknown")


def test_all_streams_are_judged_and_the_first_fault_is_named() -> None:
    """In the order of the flow, not of the streams."""
    unknown = StreamSeen("b", tracks(400), NOW - 900 * S, result_ns=NOW - 395 * S, kept_ns=NOW - 395 * S)
    seen = replace(SEEN, wanted=None, streams=(replace(HEALTHY, kept_ns=None), unknown))
    checks = judge(seen)
    assert verdict(checks) == "It stops at: producer of b. 1 more below it."
    document = json.loads(check_json(checks, pipeline="city", stream=None))
    assert (document["ok"], document["stops_at"]["stream"], document["stops_at"]["step"]) == (False, "b", "producer")
    lines = list(check_lines(checks))
    assert lines[0] == "ok       kafka: answers"
    assert any(line.startswith("wrong    redis of film: ") for line in lines)


def test_streams_that_exist_are_named_where_the_wanted_one_is_missing() -> None:
    """Ten of them at most."""
    known = tuple(f"s{number:02}" for number in range(12))
    found = check(replace(SEEN, streams=(StreamSeen("film"),), known=known), "producer").found
    assert "s00, s01" in found
    assert "s09 and 2 more" in found


@pytest.mark.parametrize(
    ("s", "text"), [(-1, "0.0 s"), (3.21, "3.2 s"), (90, "90 s"), (600, "10 min"), (9e3, "2 h"), (3e5, "3 days")]
)
def test_ages_are_for_people(s: float, text: str) -> None:
    """One unit."""
    assert age(round(s * S)) == text
