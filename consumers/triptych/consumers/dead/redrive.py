"""Redrive dead letters: send their records back to the input topics, each at most once.

A mark before and a mark after each record make this safe under crashes. `begun` is acknowledged on the dead-letter
topic before the record is sent, and `done` after the record is acknowledged. If a run finds `begun` without `done`, an
earlier run was interrupted: then it searches the input partition, from that mark on, for the record that names the
letter.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass
from typing import Final, Literal

from triptych.consumers.dead.letters import DeadLetters, Selection, StoredDeadLetter
from triptych.consumers.subscription.log_reading import Progress, no_progress, partitions_of, read_range, read_since
from triptych.schemas.dead import DeadLetter, RedriveMark
from triptych.schemas.dead_codec import decode_dead, encode_mark, read_redrive_origin, redriven_message
from triptych.schemas.names import INPUT_TOPICS
from triptych.schemas.partition import partition_of
from triptych.transport.errors import MessageRejectedError
from triptych.transport.protocols import Publisher, Transport
from triptych.transport.records import Delivered, Message, Record, TopicPartition

_FLUSH_S: Final = 30.0
_CHUNK_LETTERS: Final = 200
_CHUNK_BYTES: Final = 16 * 1024 * 1024
_CLOCK_MARGIN_NS: Final = 60_000_000_000
"""The largest clock difference between two brokers: the mark and the record may have different ones."""


@dataclass(frozen=True, slots=True)
class SkippedLetter:
    """A letter that was not redriven, and why."""

    letter: StoredDeadLetter
    reason: str


@dataclass(frozen=True, slots=True)
class RedrivePlan:
    """The letters to redrive, and those that cannot be."""

    wanted: tuple[StoredDeadLetter, ...]
    skipped: tuple[SkippedLetter, ...]


@dataclass(frozen=True, slots=True)
class RedriveOutcome:
    """The outcome of a redrive.

    Attributes:
        redriven: how many records were sent.
        already_redriven: how many an interrupted run had sent before.
        failed: the letters whose record the broker rejected, or which were deleted meanwhile.
    """

    redriven: int
    already_redriven: int
    failed: tuple[SkippedLetter, ...]


def plan(dead: DeadLetters, selection: Selection, *, again: bool) -> RedrivePlan:
    """Select the letters that were not redriven yet; with `again` also those that were dead-lettered once more."""
    states = {"waiting", "unsure", "dead_again"} if again else {"waiting", "unsure"}
    wanted: list[StoredDeadLetter] = []
    skipped: list[SkippedLetter] = []
    for letter in dead.newest():
        if selection.includes(letter) and dead.state(letter) in states:
            reason = _skip_reason(letter)
            if reason:
                skipped.append(SkippedLetter(letter, reason))
            else:
                wanted.append(letter)
    return RedrivePlan(tuple(wanted), tuple(skipped))


def _skip_reason(letter: StoredDeadLetter) -> str:
    if letter.topic not in INPUT_TOPICS:
        return f"it comes from {letter.topic}, which is not an input topic"
    if not letter.key:
        return "it has no key, so it belongs to no stream"
    if not letter.whole:
        return "its record was too large to be stored in the letter"
    return ""


def redrive(
    transport: Transport,
    dead: DeadLetters,
    wanted: Sequence[StoredDeadLetter],
    *,
    pipeline: str,
    progress: Progress = no_progress,
) -> RedriveOutcome:
    """Redrive letters. If it is interrupted, another run continues where it stopped.

    Raises:
        TransportError: the broker is unavailable, or rejected a mark.
    """
    already_redriven = _redriven_earlier(transport, dead, wanted, pipeline)
    rest = [letter for letter in wanted if letter.id not in already_redriven]
    count = 0
    failed: list[SkippedLetter] = []
    seen: set[str] = set()
    with closing(_RedriveSender(transport.publisher(), pipeline)) as sender:
        sender.mark([letter for letter in wanted if letter.id in already_redriven], "done")
        for chunk in _chunks(_with_records(transport, rest)):
            unmarked = [letter for letter, _ in chunk if letter.id not in dead.begun_ns]
            sender.mark(unmarked, "begun")
            rejected = sender.send_records(chunk)
            failed += rejected
            ids = {skipped.letter.id for skipped in rejected}
            sender.mark([letter for letter, _ in chunk if letter.id not in ids], "done")
            count += len(chunk) - len(rejected)
            seen |= {letter.id for letter, _ in chunk}
            progress(count + len(failed), len(rest))
    failed += [
        SkippedLetter(letter, "retention has deleted the letter meanwhile") for letter in rest if letter.id not in seen
    ]
    return RedriveOutcome(count, len(already_redriven), tuple(failed))


def _redriven_earlier(
    transport: Transport, dead: DeadLetters, wanted: Sequence[StoredDeadLetter], pipeline: str
) -> set[str]:
    """Return the ids of the letters that an interrupted run has redriven, according to the input topics."""
    unsure = {letter.id: letter for letter in wanted if dead.state(letter) == "unsure"}
    counts = {topic: len(partitions_of(transport, topic)) for topic in {letter.topic for letter in unsure.values()}}
    since_ns: dict[TopicPartition, int] = {}
    for letter in unsure.values():
        tp = TopicPartition(letter.topic, partition_of(letter.key, counts[letter.topic]))
        begun_ns = max(0, dead.begun_ns[letter.id] - _CLOCK_MARGIN_NS)
        since_ns[tp] = min(begun_ns, since_ns.get(tp, begun_ns))
    if not since_ns:
        return set()
    returned = (read_redrive_origin(record.headers) for record in read_since(transport, since_ns))
    return {mark.letter_id for mark in returned if mark is not None and mark.pipeline == pipeline} & unsure.keys()


def _with_records(
    transport: Transport, letters: Sequence[StoredDeadLetter]
) -> Iterator[tuple[StoredDeadLetter, DeadLetter]]:
    """Read the letters again, with their records."""
    by_position = {(letter.tp, letter.at): letter for letter in letters}
    offsets: dict[TopicPartition, list[int]] = defaultdict(list)
    for tp, at in by_position:
        offsets[tp].append(at)
    for record in read_range(transport, {tp: (min(wanted), max(wanted)) for tp, wanted in offsets.items()}):
        letter = by_position.get((record.tp, record.offset))
        if letter is not None:
            yield letter, _decoded(record)


def _decoded(record: Record) -> DeadLetter:
    return decode_dead(record.key, record.value, record.headers)


def _chunks(
    letters: Iterable[tuple[StoredDeadLetter, DeadLetter]],
) -> Iterator[list[tuple[StoredDeadLetter, DeadLetter]]]:
    chunk: list[tuple[StoredDeadLetter, DeadLetter]] = []
    for letter, whole in letters:
        chunk.append((letter, whole))
        if len(chunk) >= _CHUNK_LETTERS or sum(held.size_bytes for held, _ in chunk) >= _CHUNK_BYTES:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


class _RedriveSender:
    """Sends records and marks. When a call returns, everything is acknowledged."""

    def __init__(self, publisher: Publisher, pipeline: str) -> None:
        self._publisher = publisher
        self._pipeline = pipeline

    def close(self) -> None:
        self._publisher.close(_FLUSH_S)

    def send_records(self, chunk: Sequence[tuple[StoredDeadLetter, DeadLetter]]) -> list[SkippedLetter]:
        """Send records to the partitions of their keys; return those that were rejected."""
        messages = []
        for _, whole in chunk:
            wire = redriven_message(whole)
            messages.append(Message(whole.topic, wire.key, wire.value, wire.headers))
        errors = self._send(messages)
        return [
            SkippedLetter(letter, str(error))
            for (letter, _), error in zip(chunk, errors, strict=True)
            if error is not None
        ]

    def mark(self, letters: Sequence[StoredDeadLetter], state: Literal["begun", "done"]) -> None:
        """Write a mark for each letter, on its partition."""
        messages = []
        for letter in letters:
            topic, partition, offset = letter.id.rsplit("/", 2)
            mark = RedriveMark(
                pipeline=self._pipeline, topic=topic, partition=int(partition), offset=int(offset), state=state
            )
            wire = encode_mark(mark, moment_ns=time.time_ns())
            messages.append(Message(letter.tp.topic, wire.key, wire.value, wire.headers, letter.tp.partition))
        for error in self._send(messages):
            if error is not None:
                raise error

    def _send(self, messages: Sequence[Message]) -> list[MessageRejectedError | None]:
        sent: list[Future[Delivered] | MessageRejectedError] = []
        for message in messages:
            try:
                sent.append(self._publisher.send(message))
            except MessageRejectedError as error:
                sent.append(error)
        self._publisher.flush(_FLUSH_S)
        return [_error(one) for one in sent]


def _error(sent: Future[Delivered] | MessageRejectedError) -> MessageRejectedError | None:
    if isinstance(sent, MessageRejectedError):
        return sent
    try:
        sent.result(timeout=0)
    except MessageRejectedError as error:
        return error
    return None
