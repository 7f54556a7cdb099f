"""Comparison of results, and measurement of recovery times."""

from __future__ import annotations

import json

from tests.chaos.comparison import Fault, compare_results, recoveries

SECOND = 10**9


def document(name: str, **changes: object) -> bytes:
    """Return a result as a JSON document, with changes."""
    common = {
        "id": f"{name}/{changes.get('revision', 0)}",
        "revision": 0,
        "closed_by": "progress",
        "published_ns": 1,
        "stage_ms": {"infer": 1.0},
    }
    return json.dumps(common | changes).encode()


def test_times_of_publication_and_durations_are_not_compared() -> None:
    """Numbers may differ by a small tolerance."""
    found = [document("a", published_ns=5, stage_ms={}, novelty=0.50005), document("b")]
    comparison = compare_results("here", found, [document("b"), document("a", novelty=0.5)])
    assert comparison.is_correct
    assert (comparison.windows, comparison.duplicated, comparison.revised) == (2, [], 0)


def test_each_problem_is_reported() -> None:
    """A lost window, an unexpected one, one whose second copy differs, and a duplicate."""
    found = [document("b"), document("b", dead=1), document("c", revision=1)]
    comparison = compare_results("here", found, [document("a"), document("b")])
    assert not comparison.is_correct
    assert (comparison.lost, comparison.unexpected, comparison.duplicated) == (["a/0"], ["c/1"], ["b/0"])
    assert [difference.path for difference in comparison.differing["b/0"]] == ["dead"]
    assert comparison.revised == 1


def test_each_revision_is_compared_and_only_the_newest_where_their_numbers_differ() -> None:
    """After a crash, late items may be collected into another number of revisions."""
    wanted = [document("a", dead=2), document("a", revision=1, dead=1), document("a", revision=2)]
    assert compare_results("here", wanted, wanted).is_correct
    assert compare_results("here", [wanted[0], wanted[2]], wanted).lost == ["a/1"]
    [differing] = compare_results("here", [*wanted[:2], document("a", revision=2, dead=3)], wanted).differing
    assert differing == "a/2"

    fewer = compare_results("here", [document("a", dead=5), document("a", revision=1)], wanted)
    assert fewer.is_correct
    assert fewer.otherwise == ["a"]
    assert not compare_results("here", [document("a", revision=1, dead=1)], wanted).is_correct


def test_windows_closed_by_the_byte_limit_are_compared_by_id_only() -> None:
    """After a restart the limit may apply at another record."""
    assert compare_results("here", [document("a", closed_by="bound", dead=1)], [document("a")]).is_correct
    assert compare_results("here", [], [document("a", closed_by="bound")]).lost == ["a/0"]


def test_a_recovery_lasts_until_every_stream_is_published_again() -> None:
    """The median is that of faults without overlap. If a stream never publishes again, there is no recovery."""
    published_ns = {"x": [1 * SECOND, 12 * SECOND, 31 * SECOND], "y": [13 * SECOND, 34 * SECOND]}
    alone = Fault("kill", "w", 8 * SECOND, 10 * SECOND)
    crowded = Fault("kill", "w", 25 * SECOND, 30 * SECOND)
    other = Fault("cut", "r", 32 * SECOND, 35 * SECOND)

    cut, kill = recoveries([alone, crowded, other], published_ns)

    assert (kill.faults, kill.alone, kill.median_s, kill.longest_s) == (2, 1, 3.0, 4.0)
    assert (cut.faults, cut.alone, cut.median_s, cut.longest_s) == (1, 0, None, None)
