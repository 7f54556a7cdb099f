"""The topics of a pipeline: how they ought to be, whether they are, and making them so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from triptych.schemas.names import DEFAULT_PIPELINE, INPUT_TOPICS, dead_topic, results_topic
from triptych.transport.errors import TopicMisconfiguredError, TopicMissingError
from triptych.transport.protocols import TopicAdmin, Transport
from triptych.transport.topic_settings import APPEND_TIME, DEFAULT_PARTITIONS, TopicProblem, TopicSettings, TopicState


def pipeline_topics(pipeline: str) -> tuple[str, ...]:
    """Return the names of all topics that a pipeline reads and writes."""
    return (*INPUT_TOPICS, results_topic(pipeline), dead_topic(pipeline))


def wanted_topics(pipeline: str, like: TopicSettings) -> list[TopicSettings]:
    """Return the topics of a pipeline, all alike but for the name."""
    return [replace(like, name=name) for name in pipeline_topics(pipeline)]


def find_problems(pipeline: str, like: TopicSettings, found: Mapping[str, TopicState]) -> list[TopicProblem]:
    """Compare topics as they are with how they ought to be. Pure.

    All must have the same number of partitions; how many that is, and how long records are kept, is the
    installation's own affair.
    """
    create = _create_command(pipeline)
    wanted = wanted_topics(pipeline, like)
    there = [found[topic.name] for topic in wanted if topic.name in found]
    missing = [
        TopicProblem(topic.name, "a topic", "no such topic", f"`{create}` makes it")
        for topic in wanted
        if topic.name not in found
    ]
    wrong = [
        TopicProblem(state.name, expected, came, f"`{create}{flags}` mends it")
        for state in there
        for expected, came, flags in _wrong_settings(like, state).values()
    ]
    return [*missing, *_unequal(there, create), *wrong]


def check_topics(transport: Transport, pipeline: str, max_record_bytes: int) -> None:
    """Make sure, at a program's start, that the topics are as the design needs them.

    Raises `TopicMissingError` or `TopicMisconfiguredError` with one line for each problem, and what mends it.
    """
    admin = transport.admin()
    try:
        found = admin.describe(pipeline_topics(pipeline))
    finally:
        admin.close()
    problems = find_problems(pipeline, TopicSettings("", max_record_bytes=max_record_bytes), found)
    if problems:
        error = TopicMisconfiguredError if found else TopicMissingError
        raise error("\n".join(map(str, problems)))


def create_topics(admin: TopicAdmin, pipeline: str, like: TopicSettings) -> list[str]:
    """Make the topics of a pipeline that are missing and mend the settings of the others; say what was done, by lines.

    The number of partitions is never changed: that would move streams to other numbers. Neither is the time for which
    the records of an existing topic are kept. Raises `TopicMisconfiguredError`, with nothing made, where the number
    asked for is not that of the topics there are.
    """
    before = admin.describe(pipeline_topics(pipeline))
    for state in before.values():
        if state.partitions != like.partitions:
            raise TopicMisconfiguredError(
                f"{state.name} has {state.partitions} partitions, and all topics of a pipeline must have the same "
                f"number: nothing was made. Ask for {state.partitions}, or delete it (its records go too)"
            )
    done = [f"{name}: made with {like.partitions} partitions" for name in admin.create(wanted_topics(pipeline, like))]
    for name, state in before.items():
        wrong = _wrong_settings(like, state)
        if wrong:
            admin.alter(name, {setting: like.configs[setting] for setting in wrong})
            done += [f"{name}: {setting} set to {like.configs[setting]}" for setting in wrong]
    return done


def usual_partitions(admin: TopicAdmin, pipeline: str) -> int:
    """Return how many partitions further topics of a pipeline should have: as many as there are, else the default."""
    found = admin.describe(pipeline_topics(pipeline)).values()
    return max((state.partitions for state in found), default=DEFAULT_PARTITIONS)


def _unequal(found: Sequence[TopicState], create: str) -> list[TopicProblem]:
    most = max((state.partitions for state in found), default=0)
    expected = f"{most} partitions like the others, since a stream has one partition number everywhere"
    remedy = f"delete it (its records go too), then `{create} --partitions {most}` makes it anew"
    return [
        TopicProblem(state.name, expected, str(state.partitions), remedy) for state in found if state.partitions != most
    ]


def _wrong_settings(wanted: TopicSettings, found: TopicState) -> dict[str, tuple[str, str, str]]:
    """Return for each setting that is wrong what was expected, what came, and the flags that mending it needs."""
    wrong: dict[str, tuple[str, str, str]] = {}
    kind = found.configs.get("message.timestamp.type", "nothing")
    if kind != APPEND_TIME:
        wrong["message.timestamp.type"] = (f"message.timestamp.type {APPEND_TIME}", kind, "")
    limit = int(found.configs.get("max.message.bytes", "0"))
    if limit < wanted.max_batch_bytes:
        expected = f"max.message.bytes {wanted.max_batch_bytes} or more, for records of {wanted.max_record_bytes} bytes"
        wrong["max.message.bytes"] = (expected, str(limit), f" --max-record-bytes {wanted.max_record_bytes}")
    policy = found.configs.get("cleanup.policy", "nothing")
    if policy != "delete":
        wrong["cleanup.policy"] = ("cleanup.policy delete, since the key of a record is its whole stream's", policy, "")
    return wrong


def _create_command(pipeline: str) -> str:
    named = "" if pipeline == DEFAULT_PIPELINE else f" --pipeline {pipeline}"
    return f"triptych topics create{named}"
