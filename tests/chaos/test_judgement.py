"""What chaos calls lost, differing and given twice, and how it measures recoveries."""

from __future__ import annotations

import json

from tests.chaos.judgement import Fault, judge, recoveries

SECOND = 10**9


def said(name: str, **changes: object) -> bytes:
    """Return a result as JSON, with changes."""
    common = {"id": name, "revision": 0, "closed_by": "progress", "published_ns": 1, "stage_ms": {"infer": 1.0}}
    return json.dumps(common | changes).encode()


def test_equal_windows_pass_whenever_they_were_published_and_however_long_they_took() -> None:
    """These two fields alone may differ; a number may by a hair."""
    found = [said("a", published_ns=5, stage_ms={}, novelty=0.50005), said("b")]
    verdict = judge("here", found, [said("b"), said("a", novelty=0.5)])
    assert verdict.is_whole
    assert (verdict.windows, verdict.duplicated, verdict.revised) == (2, [], 0)


def test_each_failing_is_named() -> None:
    """A window that is lost, one that nobody expects, one that differs in its second copy, and its repeat."""
    found = [said("b"), said("b", dead=1), said("c", revision=1)]
    verdict = judge("here", found, [said("a"), said("b")])
    assert not verdict.is_whole
    assert (verdict.lost, verdict.unexpected, verdict.duplicated) == (["a"], ["c"], ["b"])
    assert [difference.path for difference in verdict.differing["b"]] == ["dead"]
    assert verdict.revised == 1


def test_windows_closed_by_the_byte_bound_are_compared_by_their_ids_alone() -> None:
    """Where that falls after a restart is not promised."""
    assert judge("here", [said("a", closed_by="bound", dead=1)], [said("a")]).is_whole
    assert judge("here", [], [said("a", closed_by="bound")]).lost == ["a"]


def test_a_recovery_lasts_until_every_stream_is_published_again() -> None:
    """The median is of faults that no other one met; a stream that stays away is no recovery at all."""
    published_ns = {"x": [1 * SECOND, 12 * SECOND, 31 * SECOND], "y": [13 * SECOND, 34 * SECOND]}
    alone = Fault("kill", "w", 8 * SECOND, 10 * SECOND)
    crowded = Fault("kill", "w", 25 * SECOND, 30 * SECOND)
    other = Fault("cut", "r", 32 * SECOND, 35 * SECOND)

    cut, kill = recoveries([alone, crowded, other], published_ns)

    assert (kill.faults, kill.alone, kill.median_s, kill.longest_s) == (2, 1, 3.0, 4.0)
    assert (cut.faults, cut.alone, cut.median_s, cut.longest_s) == (1, 0, None, None)
