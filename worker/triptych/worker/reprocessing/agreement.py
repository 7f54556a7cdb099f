"""Which span the workers of a group work on: what the owner of partition number 0 has noted with its commit.

Workers that are started with one command understand `-2h` at moments of their own. So the first owner of number 0
commits the span it means before anything is read, the group's protocol making sure that there is one owner; all others,
and every restart, take it from there.
"""

from __future__ import annotations

import threading
import time
from contextlib import closing
from dataclasses import dataclass
from typing import Final

from triptych.schemas.errors import UsageError
from triptych.schemas.names import INPUT_TOPICS, VIDEO_TOPIC, consumer_group, results_topic
from triptych.transport.errors import CommitRefusedError, RetriableError
from triptych.transport.protocols import GroupConsumer, Transport
from triptych.transport.records import Commit, TopicPartition
from triptych.worker.reprocessing.time_range import TimeRange

HOME: Final = TopicPartition(VIDEO_TOPIC, 0)
"""Where the span is noted first."""

_POLL_S: Final = 0.1
_ASK_S: Final = 0.5
_FIRST_NOTE_S: Final = 20.0
"""How long a group may have members and no note: those of a reprocessing that begins just now join and agree in it."""


@dataclass(frozen=True, slots=True)
class Begun:
    """What a group has noted. `done`: all partition numbers were read and published to their ends."""

    span: TimeRange | None
    done: bool = False


def look_up(transport: Transport, pipeline: str, partitions: int) -> Begun:
    """Return what a pipeline's group has begun, having made sure that it is no live pipeline's.

    Raises:
        UsageError: The pipeline has commits, members or results that no reprocessing made.
    """
    deadline = time.monotonic() + _FIRST_NOTE_S
    while True:
        begun = noted(transport, pipeline, partitions)
        if begun.span is not None:
            return begun
        _refuse_results(transport, pipeline, partitions)
        with closing(transport.admin()) as admin:
            members = admin.members(consumer_group(pipeline))
        if not members:
            return begun
        if time.monotonic() >= deadline:
            raise UsageError(
                f"pipeline {pipeline} has {len(members)} workers that reprocess nothing: its results and offsets are "
                "left alone; name another one with --pipeline"
            )
        time.sleep(_ASK_S)


def noted(transport: Transport, pipeline: str, partitions: int) -> Begun:
    """Return what a pipeline's group has begun, without joining it; raise `UsageError` where it is a live one's."""
    with closing(transport.group_consumer(INPUT_TOPICS, consumer_group(pipeline))) as consumer:
        commits = consumer.committed([TopicPartition(t, n) for t in INPUT_TOPICS for n in range(partitions)])
    spans = {tp: None if commit is None else TimeRange.from_note(commit.metadata) for tp, commit in commits.items()}
    foreign = [tp for tp, commit in commits.items() if commit is not None and spans[tp] is None]
    if foreign:
        raise UsageError(
            f"pipeline {pipeline} has read {foreign[0].topic} as a live one: its offsets are left alone; "
            "name another one with --pipeline"
        )
    home = spans[HOME]
    videos = [spans[TopicPartition(VIDEO_TOPIC, number)] for number in range(partitions)]
    return Begun(home, done=all(span is not None and span.done for span in videos))


def reject_reprocessing_group(consumer: GroupConsumer, pipeline: str) -> None:
    """Keep a live worker out of a group that reprocesses; raise `UsageError`."""
    commit = consumer.committed([HOME])[HOME]
    span = None if commit is None else TimeRange.from_note(commit.metadata)
    if span is not None:
        raise UsageError(
            f"pipeline {pipeline} reprocesses {span}: go on with `triptych work --from …`, or name another pipeline"
        )


def agree(consumer: GroupConsumer, proposed: TimeRange, home_offset: int, stop: threading.Event) -> TimeRange:
    """Join the group and return the span it works on; whoever owns number 0 notes the one proposed if there is none.

    What is assigned meanwhile stays unread. `home_offset` is where the one proposed begins on `HOME`. When told to
    stop, that one is returned, and nothing noted.
    """
    while not stop.is_set():
        poll = consumer.poll(_POLL_S)
        consumer.pause(consumer.assignment())
        if poll.revoking:
            consumer.complete_revocation()
            continue
        try:
            commit = consumer.committed([HOME])[HOME]
            if commit is None and HOME in consumer.assignment():
                consumer.commit({HOME: Commit(home_offset, proposed.to_note())})
                return proposed
        except (CommitRefusedError, RetriableError):
            continue
        if commit is not None:
            span = TimeRange.from_note(commit.metadata)
            if span is None:
                raise UsageError(
                    "another worker of this pipeline reprocesses nothing; name another one with --pipeline"
                )
            return span
    return proposed


def _refuse_results(transport: Transport, pipeline: str, partitions: int) -> None:
    tps = [TopicPartition(results_topic(pipeline), number) for number in range(partitions)]
    with closing(transport.reader(dict.fromkeys(tps, 0))) as reader:
        written = sum(reader.end_offsets(tps).values())
    if written:
        raise UsageError(
            f"{results_topic(pipeline)} has results that this reprocessing did not make: they are left alone; "
            "name another pipeline with --pipeline"
        )
