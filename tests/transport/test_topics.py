"""Comparing the topics of a pipeline with their wanted settings."""

from __future__ import annotations

from dataclasses import replace

import pytest

from triptych.schemas.names import INPUT_TOPICS
from triptych.transport.errors import TopicMisconfiguredError, TopicMissingError
from triptych.transport.memory.transport import MemoryTransport
from triptych.transport.topic_settings import TopicSettings, TopicState
from triptych.transport.topics import (
    all_topics,
    check_topics,
    compacted_topics,
    create_missing,
    create_topics,
    existing_topics,
    find_problems,
    missing_topics,
    pipeline_topics,
    usual_partitions,
)

LIKE = TopicSettings("", max_record_bytes=1_000_000)
RIGHT = dict(LIKE.configs)


def states(**wrong: dict[str, str]) -> dict[str, TopicState]:
    """Return correct topics, except for the given configs, by the last part of the name."""
    return {
        name: TopicState(name, 6, RIGHT | wrong.get(name.rpartition(".")[2], {})) for name in pipeline_topics("city")
    }


def test_correct_topics_have_no_problems() -> None:
    """A higher size limit and another retention are correct too."""
    found = states(video={"max.message.bytes": "99999999", "retention.ms": "-1"})

    assert find_problems("city", LIKE, found) == []


def test_missing_topics_are_reported_with_the_command_that_creates_them() -> None:
    """The command names the pipeline unless it is the default one."""
    found = states()
    del found["city.results"]

    (problem,) = find_problems("city", LIKE, found)

    assert str(problem) == (
        "city.results: expected a topic, found no such topic; `triptych topics create --pipeline city` creates it"
    )
    assert "`triptych topics create`" in str(find_problems("triptych", LIKE, {})[0])


@pytest.mark.parametrize(
    ("setting", "value", "expected", "flags"),
    [
        ("message.timestamp.type", "CreateTime", "LogAppendTime", ""),
        ("max.message.bytes", "1048588", "1004096", " --max-record-bytes 1000000"),
        ("cleanup.policy", "compact", "delete", ""),
    ],
)
def test_wrong_settings_are_reported_with_the_expected_value(
    setting: str, value: str, expected: str, flags: str
) -> None:
    """And with the command that fixes them."""
    value = "1000" if setting == "max.message.bytes" else value
    found = states(audio={setting: value})

    (problem,) = find_problems("city", LIKE, found)

    assert problem.topic == "triptych.audio"
    assert (setting in problem.expected, expected in problem.expected, problem.found) == (True, True, value)
    assert problem.remedy == f"`triptych topics create --pipeline city{flags}` fixes it"


def test_unequal_partition_counts_are_reported() -> None:
    """A stream must have the same partition on every topic."""
    found = states()
    found["city.results"] = TopicState("city.results", 3, RIGHT)

    (problem,) = find_problems("city", LIKE, found)

    assert (problem.topic, problem.found) == ("city.results", "3")
    assert "`triptych topics create --pipeline city --partitions 6`" in problem.remedy


def test_the_check_at_the_start_raises() -> None:
    """Different errors for missing and for wrong topics; the user has to fix both."""
    transport = MemoryTransport()
    with pytest.raises(TopicMissingError, match="triptych topics create") as missing:
        check_topics(transport, "triptych", 1_000)
    assert missing.value.exit_code == 2
    assert len(str(missing.value).splitlines()) == 5

    admin = transport.admin()
    assert len(create_topics(admin, "triptych", TopicSettings("", max_record_bytes=1_000))) == 9
    check_topics(transport, "triptych", 1_000)

    with pytest.raises(TopicMisconfiguredError, match=r"max\.message\.bytes"):
        check_topics(transport, "triptych", 1_000_000)


def test_only_the_topics_that_a_program_uses_are_checked() -> None:
    """A producer needs neither the results nor the dead letters, missing, wrong or of another size."""
    transport = MemoryTransport()
    admin = transport.admin()
    admin.create([replace(LIKE, name=name) for name in INPUT_TOPICS])
    limit = LIKE.max_record_bytes
    check_topics(transport, "city", limit, names=INPUT_TOPICS)
    with pytest.raises(TopicMisconfiguredError, match=r"city\.results: expected a topic"):
        check_topics(transport, "city", limit)

    admin.create([replace(LIKE, name="city.results", partitions=3, max_record_bytes=1)])
    check_topics(transport, "city", limit, names=INPUT_TOPICS)

    with pytest.raises(TopicMisconfiguredError) as wrong:
        check_topics(transport, "city", limit + 1, names=INPUT_TOPICS)
    assert [line.partition(":")[0] for line in str(wrong.value).splitlines()] == list(INPUT_TOPICS)


def test_creating_fixes_settings_and_nothing_else() -> None:
    """Correct settings and the retention of existing topics stay; a second run has nothing to do."""
    admin = MemoryTransport().admin()
    create_topics(admin, "triptych", LIKE)
    admin.alter("triptych.video", {"message.timestamp.type": "CreateTime", "retention.ms": "5"})

    assert create_topics(admin, "triptych", LIKE) == ["triptych.video: message.timestamp.type set to LogAppendTime"]
    assert admin.describe(["triptych.video"])["triptych.video"].configs["retention.ms"] == "5"
    assert create_topics(admin, "triptych", LIKE) == []


def test_a_topic_that_only_other_programs_use_is_created_and_not_required() -> None:
    """An installation that was made before the topic existed goes on; if the topic exists, it is checked too."""
    transport = MemoryTransport()
    admin = transport.admin()
    create_topics(admin, "city", TopicSettings("", max_record_bytes=1_000))
    assert existing_topics(admin, "city") == (*all_topics("city"), *compacted_topics("city"))
    assert all_topics("city")[-1] == "city.descriptions"

    older = MemoryTransport()
    older.admin().create([TopicSettings(name, max_record_bytes=1_000) for name in pipeline_topics("city")])
    assert existing_topics(older.admin(), "city") == pipeline_topics("city")
    check_topics(older, "city", 1_000)
    with pytest.raises(TopicMisconfiguredError, match=r"city\.descriptions: expected a topic"):
        check_topics(older, "city", 1_000, names=all_topics("city"))


def test_only_missing_topics_are_created() -> None:
    """As many partitions as the inputs have; settings of the others stay as they are."""
    admin = MemoryTransport().admin()
    create_topics(admin, "triptych", TopicSettings("", 4))
    admin.alter("triptych.video", {"message.timestamp.type": "CreateTime"})

    assert missing_topics(admin, "city") == ["city.results", "city.dead"]
    assert create_missing(admin, "city", 5_000) == [
        "city.results: created with 4 partitions",
        "city.dead: created with 4 partitions",
        "city.prompts: created with 1 partition",
        "city.feedback: created with 1 partition",
        "city.interactions: created with 1 partition",
    ]

    assert (missing_topics(admin, "city"), create_missing(admin, "city", 5_000)) == ([], [])
    state = admin.describe(["city.results", "triptych.video"])
    assert state["city.results"].configs["max.message.bytes"] == str(5_000 + 4096)
    assert state["triptych.video"].configs["message.timestamp.type"] == "CreateTime"


def test_topics_of_another_pipeline_get_the_existing_partition_count() -> None:
    """Another number is rejected before anything is created."""
    admin = MemoryTransport().admin()
    assert usual_partitions(admin, "city") == 6
    create_topics(admin, "triptych", TopicSettings("", 4))
    assert usual_partitions(admin, "city") == 4

    with pytest.raises(TopicMisconfiguredError, match=r"has 4 partitions.*nothing was created"):
        create_topics(admin, "city", TopicSettings("", 6))

    assert admin.describe(["city.results"]) == {}


def test_compacted_topics_may_be_missing_but_not_be_deleted_by_age() -> None:
    """A pipeline that was created before there were prompts still runs."""
    found = states()
    policy = {"cleanup.policy": "compact"}
    assert find_problems("city", LIKE, found) == []
    assert find_problems("city", LIKE, found | {"city.prompts": TopicState("city.prompts", 1, RIGHT | policy)}) == []

    (problem,) = find_problems("city", LIKE, found | {"city.prompts": TopicState("city.prompts", 1, RIGHT)})

    assert str(problem) == (
        "city.prompts: expected cleanup.policy compact, since its records must not be deleted by their age, found "
        "delete; `triptych topics create --pipeline city` fixes it"
    )


def test_creating_fixes_compacted_topics_too() -> None:
    """They have one partition, whatever the others have."""
    admin = MemoryTransport().admin()
    create_topics(admin, "city", LIKE)
    admin.alter("city.feedback", {"cleanup.policy": "delete"})

    assert create_topics(admin, "city", LIKE) == ["city.feedback: cleanup.policy set to compact"]
    state = admin.describe(["city.prompts"])["city.prompts"]
    assert (state.partitions, state.configs["message.timestamp.type"]) == (1, "LogAppendTime")
