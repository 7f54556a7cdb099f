"""Putting dead letters back where their records came from, each at most once.

Right under crashes by a mark before and a mark after: `begun` is acknowledged on the dead-letter topic before a record
is sent, `done` after it is acknowledged. Where a run finds `begun` without `done`, an earlier one was broken off: then
the input partition is searched, from that mark on, for the record that names the letter.
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
from triptych.schemas.dead_codec import decode_dead, encode_mark, put_back, read_put_back
from triptych.schemas.names import INPUT_TOPICS
from triptych.schemas.partition import partition_of
from triptych.transport.errors import MessageRejectedError
from triptych.transport.protocols import Publisher, Transport
from triptych.transport.records import Delivered, Message, Record, TopicPartition

_FLUSH_S: Final = 30.0
_CHUNK_LETTERS: Final = 200
_CHUNK_BYTES: Final = 16 * 1024 * 1024
_CLOCK_MARGIN_NS: Final = 60_000_000_000
"""By how much the clocks of two brokers may differ: the note before and the record may lie with different ones."""


@dataclass(frozen=True, slots=True)
class Left:
    """A letter that was not put back, and why."""

    letter: StoredDeadLetter
    why: str


@dataclass(frozen=True, slots=True)
class RedrivePlan:
    """Which letters are to be put back, and which cannot be."""

    wanted: tuple[StoredDeadLetter, ...]
    left: tuple[Left, ...]


@dataclass(frozen=True, slots=True)
class Redriven:
    """What came of it: letters put back, those that an earlier run had put back already, those that were refused."""

    put_back: int
    there: int
    refused: tuple[Left, ...]


def plan(dead: DeadLetters, selection: Selection, *, again: bool) -> RedrivePlan:
    """Choose the letters that were not put back yet; with `again` also those whose record was refused once more."""
    states = {"waiting", "unsure", "dead_again"} if again else {"waiting", "unsure"}
    wanted: list[StoredDeadLetter] = []
    left: list[Left] = []
    for letter in dead.newest():
        if selection.includes(letter) and dead.state(letter) in states:
            why = _why_not(letter)
            if why:
                left.append(Left(letter, why))
            else:
                wanted.append(letter)
    return RedrivePlan(tuple(wanted), tuple(left))


def _why_not(letter: StoredDeadLetter) -> str:
    if letter.topic not in INPUT_TOPICS:
        return f"it comes from {letter.topic}, which is no input topic"
    if not letter.key:
        return "it has no key, so it can belong to no stream"
    if not letter.whole:
        return "its record was too large to be kept in the letter"
    return ""


def redrive(
    transport: Transport,
    dead: DeadLetters,
    wanted: Sequence[StoredDeadLetter],
    *,
    pipeline: str,
    progress: Progress = no_progress,
) -> Redriven:
    """Put letters back. Whatever ends it early, another run goes on where it stopped."""
    there = _put_back_before(transport, dead, wanted, pipeline)
    rest = [letter for letter in wanted if letter.id not in there]
    count = 0
    refused: list[Left] = []
    seen: set[str] = set()
    with closing(_Sender(transport.publisher(), pipeline)) as sender:
        sender.mark([letter for letter in wanted if letter.id in there], "done")
        for chunk in _chunks(_whole(transport, rest)):
            again = [letter for letter, _ in chunk if letter.id not in dead.begun_ns]
            sender.mark(again, "begun")
            failed = sender.put_back(chunk)
            refused += failed
            ids = {left.letter.id for left in failed}
            sender.mark([letter for letter, _ in chunk if letter.id not in ids], "done")
            count += len(chunk) - len(failed)
            seen |= {letter.id for letter, _ in chunk}
            progress(count + len(refused), len(rest))
    refused += [Left(letter, "retention has taken the letter meanwhile") for letter in rest if letter.id not in seen]
    return Redriven(count, len(there), tuple(refused))


def _put_back_before(
    transport: Transport, dead: DeadLetters, wanted: Sequence[StoredDeadLetter], pipeline: str
) -> set[str]:
    """Return which letters a run that was broken off has put back, as the input topics have it."""
    unsure = {letter.id: letter for letter in wanted if dead.state(letter) == "unsure"}
    counts = {topic: len(partitions_of(transport, topic)) for topic in {letter.topic for letter in unsure.values()}}
    since_ns: dict[TopicPartition, int] = {}
    for letter in unsure.values():
        tp = TopicPartition(letter.topic, partition_of(letter.key, counts[letter.topic]))
        begun_ns = max(0, dead.begun_ns[letter.id] - _CLOCK_MARGIN_NS)
        since_ns[tp] = min(begun_ns, since_ns.get(tp, begun_ns))
    if not since_ns:
        return set()
    returned = (read_put_back(record.headers) for record in read_since(transport, since_ns))
    return {mark.letter_id for mark in returned if mark is not None and mark.pipeline == pipeline} & unsure.keys()


def _whole(transport: Transport, letters: Sequence[StoredDeadLetter]) -> Iterator[tuple[StoredDeadLetter, DeadLetter]]:
    """Read letters again, with their records."""
    by_place = {(letter.tp, letter.at): letter for letter in letters}
    offsets: dict[TopicPartition, list[int]] = defaultdict(list)
    for tp, at in by_place:
        offsets[tp].append(at)
    for record in read_range(transport, {tp: (min(places), max(places)) for tp, places in offsets.items()}):
        letter = by_place.get((record.tp, record.offset))
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


class _Sender:
    """Sends records and marks, each call acknowledged when it returns."""

    def __init__(self, publisher: Publisher, pipeline: str) -> None:
        self._publisher = publisher
        self._pipeline = pipeline

    def close(self) -> None:
        self._publisher.close(_FLUSH_S)

    def put_back(self, chunk: Sequence[tuple[StoredDeadLetter, DeadLetter]]) -> list[Left]:
        """Send records to the partitions of their keys; return those that were refused."""
        messages = []
        for _, whole in chunk:
            wire = put_back(whole)
            messages.append(Message(whole.topic, wire.key, wire.value, wire.headers))
        errors = self._send(messages)
        return [Left(letter, str(error)) for (letter, _), error in zip(chunk, errors, strict=True) if error is not None]

    def mark(self, letters: Sequence[StoredDeadLetter], state: Literal["begun", "done"]) -> None:
        """Leave a mark for each letter beside it."""
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
