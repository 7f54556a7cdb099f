"""The topics of a pipeline, compared with how they ought to be."""

from __future__ import annotations

import pytest

from triptych.transport.errors import TopicMisconfiguredError, TopicMissingError
from triptych.transport.memory.transport import MemoryTransport
from triptych.transport.topic_settings import TopicSettings, TopicState
from triptych.transport.topics import check_topics, create_topics, find_problems, pipeline_topics, usual_partitions

LIKE = TopicSettings("", max_record_bytes=1_000_000)
RIGHT = dict(LIKE.configs)


def states(**wrong: dict[str, str]) -> dict[str, TopicState]:
    """Return right topics, but for some settings of those named by their last part."""
    return {
        name: TopicState(name, 6, RIGHT | wrong.get(name.rpartition(".")[2], {})) for name in pipeline_topics("city")
    }


def test_right_topics_have_no_problems() -> None:
    """A higher limit and another retention are right too."""
    found = states(video={"max.message.bytes": "99999999", "retention.ms": "-1"})

    assert find_problems("city", LIKE, found) == []


def test_missing_topics_are_named_with_the_command_that_makes_them() -> None:
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
def test_wrong_settings_are_named_with_what_was_expected(setting: str, value: str, expected: str, flags: str) -> None:
    """And with the command that mends them."""
    value = "1000" if setting == "max.message.bytes" else value
    found = states(audio={setting: value})

    (problem,) = find_problems("city", LIKE, found)

    assert problem.topic == "triptych.audio"
    assert (setting in problem.expected, expected in problem.expected, problem.found) == (True, True, value)
    assert problem.remedy == f"`triptych topics create --pipeline city{flags}` fixes it"


def test_unequal_numbers_of_partitions_are_named() -> None:
    """A stream must have one partition number everywhere."""
    found = states()
    found["city.results"] = TopicState("city.results", 3, RIGHT)

    (problem,) = find_problems("city", LIKE, found)

    assert (problem.topic, problem.found) == ("city.results", "3")
    assert "`triptych topics create --pipeline city --partitions 6`" in problem.remedy


def test_a_program_is_told_at_its_start() -> None:
    """No topics at all is one error, wrong ones another; both are the user's to mend."""
    transport = MemoryTransport()
    with pytest.raises(TopicMissingError, match="triptych topics create") as missing:
        check_topics(transport, "triptych", 1_000)
    assert missing.value.exit_code == 2
    assert len(str(missing.value).splitlines()) == 5

    admin = transport.admin()
    assert len(create_topics(admin, "triptych", TopicSettings("", max_record_bytes=1_000))) == 5
    check_topics(transport, "triptych", 1_000)

    with pytest.raises(TopicMisconfiguredError, match=r"max\.message\.bytes"):
        check_topics(transport, "triptych", 1_000_000)


def test_creating_mends_settings_and_nothing_else() -> None:
    """What is right stays, the retention of existing topics stays, and the second time there is nothing to do."""
    admin = MemoryTransport().admin()
    create_topics(admin, "triptych", LIKE)
    admin.alter("triptych.video", {"message.timestamp.type": "CreateTime", "retention.ms": "5"})

    assert create_topics(admin, "triptych", LIKE) == ["triptych.video: message.timestamp.type set to LogAppendTime"]
    assert admin.describe(["triptych.video"])["triptych.video"].configs["retention.ms"] == "5"
    assert create_topics(admin, "triptych", LIKE) == []


def test_further_pipelines_get_as_many_partitions_as_there_are() -> None:
    """Another number is refused before anything is made."""
    admin = MemoryTransport().admin()
    assert usual_partitions(admin, "city") == 6
    create_topics(admin, "triptych", TopicSettings("", 4))
    assert usual_partitions(admin, "city") == 4

    with pytest.raises(TopicMisconfiguredError, match=r"has 4 partitions.*nothing was created"):
        create_topics(admin, "city", TopicSettings("", 6))

    assert admin.describe(["city.results"]) == {}
