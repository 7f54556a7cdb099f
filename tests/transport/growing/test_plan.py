"""Which topics grow, in which order, and what is refused."""

from __future__ import annotations

import pytest

from triptych.schemas.names import INPUT_TOPICS
from triptych.schemas.partition import partition_of
from triptych.transport.growing.plan import GrowthPlan, GrowthRefusedError, pipelines_of, plan_growth
from triptych.transport.topics import all_topics, compacted_topics


def counts_of(*pipelines: str, partitions: int = 6) -> dict[str, int]:
    """Return the topics of an installation, with a topic that is not ours."""
    ours = {topic: partitions for pipeline in pipelines for topic in all_topics(pipeline)}
    compacted = {topic: 1 for pipeline in pipelines for topic in compacted_topics(pipeline)}
    return {**ours, **compacted, "orders": 3, "orders.results": 3}


def test_the_topics_of_all_pipelines_grow_and_no_others() -> None:
    """All pipelines read the same inputs. Compacted topics keep their one partition."""
    plan = plan_growth(counts_of("triptych", "night"), "triptych", 9)

    assert plan.pipelines == ("night", "triptych")
    assert {step.topic for step in plan.steps} == {*all_topics("triptych"), *all_topics("night")}
    assert all((step.before, step.after) == (6, 9) for step in plan.steps)


def test_the_inputs_grow_last() -> None:
    """A producer that sees them grown finds the topics of results grown too."""
    topics = [step.topic for step in plan_growth(counts_of("triptych"), "triptych", 9).steps]

    assert set(topics[-3:]) == set(INPUT_TOPICS)


def test_an_interrupted_growth_is_finished() -> None:
    """Only the topics that lack partitions grow."""
    counts = counts_of("triptych") | {"triptych.results": 9, INPUT_TOPICS[0]: 9}
    plan = plan_growth(counts, "triptych", 9)

    assert plan.is_interrupted
    assert plan.input_partitions == 6
    assert {step.topic for step in plan.steps} == {*all_topics("triptych")} - {"triptych.results", INPUT_TOPICS[0]}
    assert plan_growth(counts_of("triptych", partitions=9), "triptych", 9).steps == ()


def test_topics_never_shrink() -> None:
    """Kafka cannot do it; the message has the smallest number that is possible."""
    with pytest.raises(GrowthRefusedError, match=r"night\.dead has 12.*at least 12") as error:
        plan_growth(counts_of("triptych", "night") | {"night.dead": 12}, "triptych", 9)
    assert error.value.exit_code == 2


def test_a_missing_topic_is_named() -> None:
    """A mistyped pipeline grows nothing."""
    with pytest.raises(GrowthRefusedError, match=r"no such topic: nigth\.results, nigth\.dead"):
        plan_growth(counts_of("triptych"), "nigth", 9)


def test_a_pipeline_has_results_and_dead_letters() -> None:
    """Other programs may name their topics so, too."""
    assert pipelines_of(["a.results", "a.dead", "b.results", "c.dead", ".results", ".dead"]) == ("a",)


def test_which_streams_move() -> None:
    """With their partitions before and after, by the producers' partitioner."""
    plan = GrowthPlan(9, ("triptych",), counts_of("triptych"))
    names = [f"stream-{number}" for number in range(50)]
    moved = plan.moved(names)

    assert moved
    assert len(moved) < len(names)
    for name in names:
        before, after = partition_of(name.encode(), 6), partition_of(name.encode(), 9)
        assert moved.get(name) == (None if before == after else (before, after))
