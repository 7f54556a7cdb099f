"""Which results are described, alone and over the whole program, before and after a restart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.consumers.describing.conftest import WINDOW_NS, make_window
from triptych.consumers.describing.gate import (
    DescribedWindows,
    DescribeGate,
    GateConditions,
    PromptFloor,
    SkipReason,
)
from triptych.consumers.describing.likeness import LikenessLimits, likeness_of, shows_the_same
from triptych.consumers.describing.program import gate_conditions, start_offsets
from triptych.consumers.rules.rule import Rule
from triptych.schemas.errors import UsageError
from triptych.schemas.perception.descriptions import Description
from triptych.schemas.perception.matches import Match
from triptych.schemas.perception.vectors import Vectors, encode_vector
from triptych.schemas.results import Observations, Quality, Result, Words

if TYPE_CHECKING:
    from tests.consumers.describing.conftest import Bench, Options
    from tests.scripted_endpoint import ScriptedEndpoint


def description_of(result: Result, **changes: Any) -> Description:  # noqa: ANN401 - any field
    """Return a description of a window."""
    fields: dict[str, Any] = {
        "result": result.id,
        "prompt_hash": "0" * 16,
        "stream": result.stream,
        "start_ns": result.start_ns,
        "end_ns": result.end_ns,
        "published_ns": result.end_ns,
        "model": "tiny",
        "language": "English",
        "outcome": "described",
        "title": "A street",
        "likeness": likeness_of(result),
    }
    return Description(**(fields | changes))


def decisions(conditions: GateConditions, *results: Result) -> list[SkipReason | None]:
    """Decide about results, each of which is described at once where it is to be."""
    described = DescribedWindows()
    gate = DescribeGate(conditions, described)
    found = []
    for result in results:
        found.append(gate.decide(result))
        if found[-1] is None:
            described.add(description_of(result))
    return found


def spoken(number: int, share: float, stream: str = "city") -> Result:
    """Return a window with a share of speech and no words, whose picture changes slowly."""
    layout = Quality(layout=f"{2 ** (4 * number) - 1:016x}")
    return make_window(number, stream, observations=Observations(speech_share=share), quality=layout)


def test_rule_prompt_and_novelty_must_all_hold() -> None:
    """Of several prompts one is enough. A value that a result does not have meets no condition."""
    match = {"fire": Match(score=0.8, log_odds=1.4)}
    everything = GateConditions(
        Rule("speech > .5"), (PromptFloor("fire", 0.75), PromptFloor("smoke", 0.5)), novelty=0.3
    )
    good = make_window(0, matches=match, novelty=0.3)
    assert decisions(everything, good) == [None]
    changed = [
        make_window(0, matches=match, novelty=0.29),
        make_window(0, matches=match),
        make_window(0, novelty=0.4),
        make_window(0, matches={"fire": Match(score=0.7, log_odds=0.8)}, novelty=0.4),
        good.model_copy(update={"observations": Observations(speech_share=0.1)}),
    ]
    expected = [SkipReason.NOVELTY, SkipReason.NOVELTY, SkipReason.PROMPT, SkipReason.PROMPT, SkipReason.RULE]
    assert [decisions(everything, one)[0] for one in changed] == expected


def test_conditions_must_hold_for_a_time() -> None:
    """Three windows of two seconds are six; a window without speech, or a missing one, begins anew."""
    held = GateConditions(Rule("speech > .5"), hold_ns=3 * WINDOW_NS, likeness=None)
    shares = [0.9, 0.9, 0.1, 0.9, 0.9, 0.9, 0.9]
    found = decisions(held, *(spoken(number, share) for number, share in enumerate(shares)))
    hold, rule = SkipReason.HOLD, SkipReason.RULE
    assert found == [hold, hold, rule, hold, hold, None, None]
    assert decisions(held, *(spoken(number, 0.9) for number in (0, 1, 3, 4, 5))) == [hold, hold, hold, hold, None]


def test_a_stream_is_described_at_most_once_in_a_time() -> None:
    """Each stream has its own rate."""
    results = [make_window(number, stream) for number in range(5) for stream in ("a", "b")]
    found = decisions(GateConditions(every_ns=2 * WINDOW_NS), *results)
    assert found == [None, None, SkipReason.RATE, SkipReason.RATE] * 2 + [None, None]


def looks(number: int, layout: str | None, vector: tuple[float, ...] | None, *words: str, space: str = "s") -> Result:
    """Return a window with what likeness compares."""
    start_ns = make_window(number).start_ns
    cues = tuple(Words(text=text, start_ns=start_ns, end_ns=start_ns + 1) for text in words)
    return make_window(
        number,
        quality=None if layout is None else Quality(layout=layout),
        vectors=None if vector is None else Vectors(space=space, fused=encode_vector(vector)),
        observations=Observations(words=cues),
    )


SEEN = looks(0, "00000000000000ff", (1.0, 0.0), "Good evening")


@pytest.mark.parametrize(
    ("later", "same"),
    [
        (looks(1, "00000000000000ff", (1.0, 0.0), "good  evening"), True),
        (looks(1, "000000000000003f", (0.99, 0.1)), True),
        (looks(1, "00000000000000ff", (1.0, 0.0), "Good night"), False),
        (looks(1, "00000000ffffffff", (1.0, 0.0)), False),
        (looks(1, "00000000000000ff", (0.0, 1.0)), False),
        (looks(1, "00000000000000ff", (0.0, 1.0), space="another"), True),  # vectors that cannot be compared
        (looks(1, None, (1.0, 0.0)), True),
        (looks(1, None, None), False),  # nothing to compare
    ],
)
def test_a_window_that_shows_the_same_is_not_described_again(later: Result, same: bool) -> None:  # noqa: FBT001 - a case
    """Unless that is asked for."""
    limits = LikenessLimits()
    assert shows_the_same(likeness_of(later), likeness_of(SEEN), limits) is same
    assert decisions(GateConditions(), SEEN, later)[1] == (SkipReason.SAME if same else None)
    assert decisions(GateConditions(likeness=None), SEEN, later)[1] is None


def test_the_fused_vector_that_a_result_leaves_out_is_compared() -> None:
    """It follows from those of the modalities and their weights."""
    own = {"video": encode_vector((1.0, 0.0)), "subtitles": encode_vector((0.0, 1.0))}
    vectors = Vectors(space="s", **own, weights={"video": 1.0, "subtitles": 1.0})
    derived = looks(1, None, None).model_copy(update={"vectors": vectors})
    assert shows_the_same(likeness_of(derived), likeness_of(looks(0, None, (0.7071, 0.7071))), LikenessLimits())
    assert not shows_the_same(likeness_of(derived), likeness_of(looks(0, None, (1.0, 0.0))), LikenessLimits())


def test_embeddings_are_compared_within_one_model() -> None:
    """Where a result has no vectors."""
    one = make_window(0, quality=None, embedding=(1.0, 0.0), observations=Observations())
    other = one.model_copy(update={"model": one.model.model_copy(update={"sha256": "f" * 64})})
    assert shows_the_same(likeness_of(one), likeness_of(one), LikenessLimits())
    assert not shows_the_same(likeness_of(other), likeness_of(one), LikenessLimits())


def test_windows_are_compared_with_the_last_one_described_before_them() -> None:
    """A slow change adds up, and a replay does not compare with the future."""
    layouts = [f"{2 ** (4 * number) - 1:016x}" for number in range(6)]
    found = decisions(GateConditions(), *(looks(number, layout, None) for number, layout in enumerate(layouts)))
    assert found == [None, SkipReason.SAME, None, SkipReason.SAME, None, SkipReason.SAME]
    described = DescribedWindows()
    described.add(description_of(looks(5, layouts[0], None)))
    assert DescribeGate(GateConditions(), described).decide(looks(4, layouts[0], None)) is None


CASES: dict[str, dict[str, Any]] = {
    "hold": {"where": "speech > .5", "hold": 5.0, "repeat": True},
    "every": {"every": 5.0, "repeat": True},
    "same": {"same_bits": 6},
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("at", range(1, 9))
def test_a_program_that_was_restarted_decides_as_one_that_was_not(
    bench: Bench, endpoint: ScriptedEndpoint, options: Options, name: str, at: int
) -> None:
    """Wherever the restart is: the state of a stream follows from what is published."""
    results = [spoken(number, 0.1 if number == 4 else 0.9) for number in range(9)]
    expected = decisions(gate_conditions(options(conditions=CASES[name]).conditions), *results)
    assert 1 < expected.count(None) < 9

    bench.publish(*results[:at])
    bench.run(options(conditions=CASES[name]))
    bench.publish(*results[at:])
    bench.run(options(conditions=CASES[name]))

    described = [result.id for result, reason in zip(results, expected, strict=True) if reason is None]
    assert [one.result for one in bench.descriptions()] == described
    assert len(endpoint.asked) == len(described)
    for reason in {*expected} - {None}:
        assert bench.skipped(str(reason)) == expected.count(reason)


def test_old_results_are_skipped_if_that_is_asked_for(bench: Bench, options: Options) -> None:
    """A program that is behind catches up."""
    bench.publish(make_window(0))
    assert bench.run(options(conditions={"max_age": 3_600.0})) == 0
    assert bench.skipped("old") == 1


@pytest.mark.parametrize("text", ["=.5", "fire=hot", "fire=2", ""])
def test_a_prompt_with_a_wrong_score_is_an_error(text: str, options: Options) -> None:
    """The message says what was expected."""
    with pytest.raises(UsageError, match="expected PROMPT or PROMPT=SCORE"):
        gate_conditions(options(conditions={"match": (text,)}).conditions)


def test_starts_are_checked() -> None:
    """Now, the beginning, a time or an age."""
    assert start_offsets("now").since_ns is None
    assert start_offsets("beginning").since_ns == 0
    assert start_offsets("2026-01-01T00:00:00Z").since_ns == 1_767_225_600_000_000_000
    with pytest.raises(UsageError, match="expected a time"):
        start_offsets("yesterday")
