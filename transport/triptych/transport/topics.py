"""Check and create the topics of a pipeline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from triptych.schemas.names import (
    DEFAULT_PIPELINE,
    INPUT_TOPICS,
    dead_topic,
    descriptions_topic,
    feedback_topic,
    interactions_topic,
    prompts_topic,
    results_topic,
)
from triptych.transport.errors import TopicMisconfiguredError, TopicMissingError
from triptych.transport.protocols import TopicAdmin, Transport
from triptych.transport.topic_settings import APPEND_TIME, DEFAULT_PARTITIONS, TopicProblem, TopicSettings, TopicState

_DELETED_AFTER_MS: Final = 86_400_000
_POLICY_REASONS: Final = {
    "delete": "cleanup.policy delete, since all records of a stream have the same key",
    "compact": "cleanup.policy compact, since its records must not be deleted by their age",
}


def pipeline_topics(pipeline: str) -> tuple[str, ...]:
    """Return the names of all topics without which a worker of a pipeline cannot run."""
    return (*INPUT_TOPICS, results_topic(pipeline), dead_topic(pipeline))


def compacted_topics(pipeline: str) -> tuple[str, ...]:
    """Return the names of the topics in which people tell a pipeline something. A worker also runs without them."""
    return (prompts_topic(pipeline), feedback_topic(pipeline), interactions_topic(pipeline))


def all_topics(pipeline: str) -> tuple[str, ...]:
    """Return the names of all topics with streams, with those that only programs beside the worker use."""
    return (*pipeline_topics(pipeline), descriptions_topic(pipeline))


def existing_topics(admin: TopicAdmin, pipeline: str) -> tuple[str, ...]:
    """Return the topics that a worker needs, and of the others those that exist."""
    names = (*all_topics(pipeline), *compacted_topics(pipeline))
    found = admin.describe(names)
    return tuple(name for name in names if name in found or name in pipeline_topics(pipeline))


def wanted_topics(pipeline: str, like: TopicSettings) -> list[TopicSettings]:
    """Return the settings of all topics with streams, which differ in the name only."""
    return [replace(like, name=name) for name in all_topics(pipeline)]


def wanted_compacted_topics(pipeline: str, like: TopicSettings) -> list[TopicSettings]:
    """Return the settings of the compacted topics: one partition, and no retention.

    What users ask to be deleted has left the log of interactions after a day.
    """
    lag_of = {interactions_topic(pipeline): _DELETED_AFTER_MS}
    return [
        replace(like, name=name, partitions=1, cleanup_policy="compact", max_compaction_lag_ms=lag_of.get(name))
        for name in compacted_topics(pipeline)
    ]


def find_problems(
    pipeline: str,
    like: TopicSettings,
    found: Mapping[str, TopicState],
    *,
    names: Sequence[str] | None = None,
    equal: bool = True,
) -> list[TopicProblem]:
    """Compare the topics, all of a worker or those of these names, with their wanted settings. No I/O.

    With `equal` all topics must have the same number of partitions. What that number is, and the retention, is up to
    the installation. Compacted topics may be missing.
    """
    create = _create_command(pipeline)
    compacted = [topic for topic in wanted_compacted_topics(pipeline, like) if topic.name in found]
    chosen = pipeline_topics(pipeline) if names is None else names
    wanted = [topic for topic in wanted_topics(pipeline, like) if topic.name in chosen]
    existing = [found[topic.name] for topic in wanted if topic.name in found]
    missing = [
        TopicProblem(topic.name, "a topic", "no such topic", f"`{create}` creates it")
        for topic in wanted
        if topic.name not in found
    ]
    wrong = [
        TopicProblem(topic.name, expected, actual, f"`{create}{flags}` fixes it")
        for topic in (*wanted, *compacted)
        if topic.name in found
        for expected, actual, flags in _wrong_settings(topic, found[topic.name]).values()
    ]
    return [*missing, *(_unequal(existing, create) if equal else ()), *wrong]


def check_topics(
    transport: Transport,
    pipeline: str,
    max_record_bytes: int,
    *,
    names: Sequence[str] | None = None,
    equal: bool = True,
) -> None:
    """Check at a program's start that the topics have the required settings.

    The message has one line for each problem, with the command that fixes it.

    Args:
        transport: the installation.
        pipeline: whose topics to check.
        max_record_bytes: the size limit of records that the topics must accept.
        names: the topics that the program uses. Default: those of a worker.
        equal: whether different numbers of partitions are a problem. A live worker waits until they are equal.

    Raises:
        TopicMissingError: none of the topics exists.
        TopicMisconfiguredError: a topic is missing or has wrong settings.
    """
    admin = transport.admin()
    try:
        found = admin.describe(names or (*pipeline_topics(pipeline), *compacted_topics(pipeline)))
    finally:
        admin.close()
    like = TopicSettings("", max_record_bytes=max_record_bytes)
    problems = find_problems(pipeline, like, found, names=names, equal=equal)
    if problems:
        error = TopicMisconfiguredError if found else TopicMissingError
        raise error("\n".join(map(str, problems)))


def create_topics(admin: TopicAdmin, pipeline: str, like: TopicSettings) -> list[str]:
    """Create the missing topics of a pipeline and fix the settings of the others; return what was done, one line each.

    It never changes the number of partitions, since that would move streams to other partitions, nor the retention of
    an existing topic.

    Raises:
        TopicMisconfiguredError: existing topics have another number of partitions than requested; nothing was created.
    """
    before = admin.describe(all_topics(pipeline))
    for state in before.values():
        if state.partitions != like.partitions:
            raise TopicMisconfiguredError(
                f"{state.name} has {state.partitions} partitions, and all topics of a pipeline must have the same "
                f"number: nothing was created. Request {state.partitions}, or delete the topic with its records"
            )
    compacted = admin.describe(compacted_topics(pipeline))
    wanted = {topic.name: topic for topic in (*wanted_topics(pipeline, like), *wanted_compacted_topics(pipeline, like))}
    done = [_created(wanted[name]) for name in admin.create(list(wanted.values()))]
    for name, state in (before | compacted).items():
        wrong = _wrong_settings(wanted[name], state)
        if wrong:
            admin.alter(name, {setting: wanted[name].configs[setting] for setting in wrong})
            done += [f"{name}: {setting} set to {wanted[name].configs[setting]}" for setting in wrong]
    return done


def missing_topics(admin: TopicAdmin, pipeline: str) -> list[str]:
    """Return the names of the topics that do not exist and without which a worker cannot run."""
    found = admin.describe(pipeline_topics(pipeline))
    return [name for name in pipeline_topics(pipeline) if name not in found]


def create_missing(admin: TopicAdmin, pipeline: str, max_record_bytes: int) -> list[str]:
    """Create the missing topics of a pipeline, and change no other; return what was done, one line each."""
    like = TopicSettings("", usual_partitions(admin, pipeline), max_record_bytes=max_record_bytes)
    names = (*pipeline_topics(pipeline), *compacted_topics(pipeline))
    found = admin.describe(names)
    wanted = (*wanted_topics(pipeline, like), *wanted_compacted_topics(pipeline, like))
    missing = {topic.name: topic for topic in wanted if topic.name in names and topic.name not in found}
    return [_created(missing[name]) for name in admin.create(list(missing.values()))]


def usual_partitions(admin: TopicAdmin, pipeline: str) -> int:
    """Return the number of partitions for new topics of a pipeline: as existing ones have, or the default."""
    found = admin.describe(pipeline_topics(pipeline)).values()
    return max((state.partitions for state in found), default=DEFAULT_PARTITIONS)


def _unequal(found: Sequence[TopicState], create: str) -> list[TopicProblem]:
    most = max((state.partitions for state in found), default=0)
    expected = f"{most} partitions like the others, since a stream has the same partition on every topic"
    remedy = (
        f"`triptych topics grow --partitions {most}` adds partitions to it, or delete it with its records, then "
        f"`{create} --partitions {most}` creates it again"
    )
    return [
        TopicProblem(state.name, expected, str(state.partitions), remedy) for state in found if state.partitions != most
    ]


def _wrong_settings(wanted: TopicSettings, found: TopicState) -> dict[str, tuple[str, str, str]]:
    """Return the expected value, the actual value and the flags of the fixing command, by wrong setting."""
    wrong: dict[str, tuple[str, str, str]] = {}
    kind = found.configs.get("message.timestamp.type", "nothing")
    if kind != APPEND_TIME:
        wrong["message.timestamp.type"] = (f"message.timestamp.type {APPEND_TIME}", kind, "")
    limit = int(found.configs.get("max.message.bytes", "0"))
    if limit < wanted.max_batch_bytes:
        expected = f"max.message.bytes {wanted.max_batch_bytes} or more, for records of {wanted.max_record_bytes} bytes"
        wrong["max.message.bytes"] = (expected, str(limit), f" --max-record-bytes {wanted.max_record_bytes}")
    policy = found.configs.get("cleanup.policy", "nothing")
    if policy != wanted.cleanup_policy:
        wrong["cleanup.policy"] = (_POLICY_REASONS[wanted.cleanup_policy], policy, "")
    return wrong


def _created(topic: TopicSettings) -> str:
    return f"{topic.name}: created with {topic.partitions} partition{'' if topic.partitions == 1 else 's'}"


def _create_command(pipeline: str) -> str:
    named = "" if pipeline == DEFAULT_PIPELINE else f" --pipeline {pipeline}"
    return f"triptych topics create{named}"
