"""The dead letters of a pipeline, and the state of each.

The dead-letter topic is the only storage. It holds letters, and the marks of their redrive. A record that was redriven
and dead-lettered again is a new letter, which names the previous one. The two count as one letter, represented by the
newest.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, Literal, get_args

from triptych.consumers.subscription.log_reading import Progress, no_progress, partitions_of, read_since
from triptych.schemas.dead import DeadLetter
from triptych.schemas.dead_codec import decode_dead, decode_mark, is_mark, read_redrive_origin
from triptych.schemas.errors import MalformedRecordError, UsageError
from triptych.schemas.names import dead_topic
from triptych.schemas.reasons import UNKNOWN_REASON
from triptych.transport.protocols import Transport
from triptych.transport.records import Record, TopicPartition

_POSITION: Final = re.compile(r"(\d{1,9}):\d{1,19}")
_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,249}/(\d{1,9})/\d{1,19}")

State = Literal["waiting", "unsure", "redriven", "dead_again"]
"""Never redriven; a redrive was interrupted; redriven; redriven and dead-lettered again."""
STATES: tuple[State, ...] = get_args(State)


@dataclass(frozen=True, slots=True)
class StoredDeadLetter:
    """The summary of a letter, without its record.

    `tp` and `at` are its position on the dead-letter topic, `appended_ns` its append time. `previous_id` is the id of
    the letter whose redriven record became this letter; empty if the record was never redriven.
    """

    id: str
    code: str
    reason: str
    stream: str
    topic: str
    key: bytes
    arrival_ns: int
    tp: TopicPartition
    at: int
    appended_ns: int
    size_bytes: int
    whole: bool
    previous_id: str


@dataclass(frozen=True, slots=True)
class Selection:
    """Which letters to select. None selects all."""

    stream: str | None = None
    code: str | None = None
    since_ns: int = 0

    def includes(self, letter: StoredDeadLetter) -> bool:
        """Return whether a letter is selected."""
        return (
            self.stream in {None, letter.stream}
            and self.code in {None, letter.code}
            and letter.appended_ns >= self.since_ns
        )


@dataclass(slots=True)
class DeadLetters:
    """The letters and marks of a dead-letter topic.

    `begun_ns` is when the redrive of each letter began, `last` the letter that was added last.
    """

    letters: dict[str, StoredDeadLetter] = field(default_factory=dict)
    done: set[str] = field(default_factory=set)
    begun_ns: dict[str, int] = field(default_factory=dict)
    unreadable: int = 0
    last: StoredDeadLetter | None = None

    def add(self, record: Record) -> None:
        """Add a record of the topic. A record that is neither letter nor mark counts as unreadable."""
        self.last = None
        try:
            if is_mark(record.headers):
                self._add_mark(record)
            else:
                self.last = summary(record, decode_dead(record.key, record.value, record.headers))
                self.letters[self.last.id] = self.last
        except MalformedRecordError:
            self.unreadable += 1

    def _add_mark(self, record: Record) -> None:
        mark = decode_mark(record.headers)
        if mark.state == "done":
            self.done.add(mark.id)
        else:
            self.begun_ns.setdefault(mark.id, record.arrival_ns)

    def newest(self) -> Iterator[StoredDeadLetter]:
        """Return each letter once, by its newest form, in the order in which they were appended."""
        newest: dict[str, StoredDeadLetter] = {}
        for letter in sorted(self.letters.values(), key=lambda letter: (letter.appended_ns, letter.tp, letter.at)):
            root = self._root(letter)
            newest.pop(root, None)
            newest[root] = letter
        return iter(newest.values())

    def state(self, letter: StoredDeadLetter) -> State:
        """Return the state of a letter, given its newest form."""
        if letter.id in self.done:
            return "redriven"
        if letter.id in self.begun_ns:
            return "unsure"
        return "dead_again" if letter.previous_id else "waiting"

    def _root(self, letter: StoredDeadLetter) -> str:
        """Return the id of the first letter in the chain of previous letters."""
        seen = {letter.id}
        while letter.previous_id and letter.previous_id not in seen:
            seen.add(letter.previous_id)
            before = self.letters.get(letter.previous_id)
            if before is None:
                return letter.previous_id
            letter = before
        return letter.id


def summary(record: Record, letter: DeadLetter) -> StoredDeadLetter:
    """Return the summary of a letter that is stored in `record`."""
    origin = read_redrive_origin(letter.headers)
    return StoredDeadLetter(
        id=letter.id,
        code=str(letter.code or UNKNOWN_REASON),
        reason=letter.reason,
        stream=(letter.key or b"").decode(errors="replace"),
        topic=letter.topic,
        key=letter.key or b"",
        arrival_ns=letter.arrival_ns,
        tp=record.tp,
        at=record.offset,
        appended_ns=record.arrival_ns,
        size_bytes=record.size_bytes,
        whole=letter.whole,
        previous_id="" if origin is None else origin.letter_id,
    )


def read_letters(
    transport: Transport, pipeline: str, *, since_ns: int = 0, progress: Progress = no_progress
) -> DeadLetters:
    """Read the dead-letter topic up to its current end.

    `since_ns` is a time of appending. It never separates a mark from its letter, since marks are appended later.
    """
    tps = partitions_of(transport, dead_topic(pipeline))
    found = DeadLetters()
    for record in read_since(transport, dict.fromkeys(tps, since_ns), progress=progress):
        found.add(record)
    return found


def find_letter(
    transport: Transport, pipeline: str, wanted: str, *, progress: Progress = no_progress
) -> tuple[DeadLetters, StoredDeadLetter, DeadLetter]:
    """Return a letter by its id or its position `PARTITION:OFFSET`: its partition's letters, its summary, its record.

    Raises:
        UsageError: the text is neither, or there is no such letter.
    """
    position, letter_id = _POSITION.fullmatch(wanted), _ID.fullmatch(wanted)
    number = position[1] if position else letter_id[1] if letter_id else None
    if number is None:
        raise UsageError(f"letter: expected TOPIC/PARTITION/OFFSET of its record, or PARTITION:OFFSET, got {wanted!r}")
    tp = TopicPartition(dead_topic(pipeline), int(number))
    found = DeadLetters()
    whole: dict[str, DeadLetter] = {}
    if tp in partitions_of(transport, tp.topic):
        for record in read_since(transport, {tp: 0}, progress=progress):
            found.add(record)
            letter = found.last
            if letter is not None and wanted in {letter.id, f"{letter.tp.partition}:{letter.at}"}:
                whole[letter.id] = decode_dead(record.key, record.value, record.headers)
    if not whole:
        raise UsageError(f"letter {wanted}: not on {tp.topic}; `triptych dead list --each` lists the letters")
    [(name, record_of)] = whole.items()
    return found, found.letters[name], record_of


@dataclass(slots=True)
class DeadLetterGroup:
    """The letters of one reason and stream."""

    code: str
    stream: str
    newest: StoredDeadLetter
    counts: dict[State, int] = field(default_factory=lambda: dict.fromkeys(STATES, 0))
    size_bytes: int = 0

    @property
    def letters(self) -> int:
        """The number of letters."""
        return sum(self.counts.values())


def grouped(dead: DeadLetters, letters: Iterable[StoredDeadLetter]) -> list[DeadLetterGroup]:
    """Return letters counted by reason and stream, most frequent first."""
    groups: dict[tuple[str, str], DeadLetterGroup] = {}
    for letter in letters:
        group = groups.setdefault((letter.code, letter.stream), DeadLetterGroup(letter.code, letter.stream, letter))
        group.counts[dead.state(letter)] += 1
        group.size_bytes += letter.size_bytes
        group.newest = max(group.newest, letter, key=lambda letter: letter.appended_ns)
    return sorted(groups.values(), key=lambda group: (-group.letters, group.code, group.stream))
