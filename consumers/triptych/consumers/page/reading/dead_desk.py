"""Dead letters for the page: list them, look at one, redrive some. Blocks."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

from triptych.consumers.dead.letters import DeadLetters, Selection, StoredDeadLetter, read_letters
from triptych.consumers.dead.redrive import plan, redrive
from triptych.consumers.dead.text import text
from triptych.consumers.page.api_types import (
    DeadCount,
    HeaderRow,
    LetterBody,
    LetterRow,
    LettersBody,
    RedriveBody,
)
from triptych.consumers.page.problems import not_found
from triptych.consumers.page.state.bodies import to_ms
from triptych.consumers.subscription.log_reading import read_range
from triptych.schemas.dead_codec import decode_dead
from triptych.schemas.errors import MalformedRecordError
from triptych.schemas.names import dead_topic
from triptych.terminal_text import printable
from triptych.transport.protocols import Transport
from triptych.transport.records import TopicPartition
from triptych.units import NS_PER_S

KEPT_NS: Final = 24 * 3_600 * NS_PER_S
"""How old the letters are at most that the page shows."""
_FRESH_S: Final = 5.0
_SHOWN_BYTES: Final = 2_048
_MOST_HEADERS: Final = 100
_LONGEST_HEADER: Final = 1_024
_NONE_LEFT: Final = "`triptych dead list --each` lists all letters, also those that are older than a day"

MaySeeFeed = Callable[[str], bool]


class DeadDesk:
    """The dead letters of the last day. Any thread may use it; one redrive runs at a time."""

    def __init__(self, transport: Transport, pipeline: str, *, clock_ns: Callable[[], int] = time.time_ns) -> None:
        """Read nothing yet. The caller closes `transport`."""
        self._transport = transport
        self._pipeline = pipeline
        self._clock_ns = clock_ns
        self._reading = threading.Lock()
        self._redriving = threading.Lock()
        self._read: DeadLetters | None = None
        self._read_s = 0.0

    def letters(self, may_see: MaySeeFeed, reason: str | None, limit: int) -> LettersBody:
        """Return the newest letters. Blocks.

        Raises:
            TransportError: the broker does not answer, or there is no such topic.
        """
        dead = self._letters()
        found = [letter for letter in dead.newest() if may_see(letter.stream) and reason in {None, letter.code}]
        redrivable = _redrivable(dead)
        rows = tuple(_row(dead, letter, redrivable) for letter in reversed(found[-limit:]))
        return LettersBody(letters=rows, total=len(found))

    def counts(self, may_see: MaySeeFeed) -> tuple[DeadCount, ...]:
        """Return how many letters wait, by reason, the most frequent first. Blocks. Raises as `letters` does."""
        dead = self._letters()
        waiting = Counter(
            letter.code for letter in dead.newest() if may_see(letter.stream) and dead.state(letter) != "redriven"
        )
        return tuple(DeadCount(reason=reason, n=n) for reason, n in waiting.most_common())

    def letter(self, may_see: MaySeeFeed, partition: int, offset: int) -> LetterBody:
        """Return one letter with the beginning of its record. Blocks.

        Raises:
            PageProblemError: there is no such letter, or it is of a feed that the user may not see.
            TransportError: the broker does not answer.
        """
        dead = self._letters()
        found = self._find(dead, partition, offset)
        if found is None or not may_see(found.stream):
            raise not_found(f"there is no dead letter at {partition}:{offset}", _NONE_LEFT)
        for record in read_range(self._transport, {found.tp: (offset, offset)}):
            try:
                whole = decode_dead(record.key, record.value, record.headers)
            except MalformedRecordError:
                break
            shown = whole.value[:_SHOWN_BYTES]
            return LetterBody(
                letter=_row(dead, found, _redrivable(dead)),
                headers=tuple(
                    HeaderRow(name=printable(name), value=text(value[:_LONGEST_HEADER]))
                    for name, value in whole.headers[:_MOST_HEADERS]
                ),
                text=_as_text(shown),
                hexadecimal=shown.hex(),
                bytes_shown=len(shown),
            )
        raise not_found(f"there is no dead letter at {partition}:{offset} any more", _NONE_LEFT)

    def redrive(self, may_see: MaySeeFeed, positions: Sequence[tuple[int, int]]) -> RedriveBody:
        """Send the records of letters back to their topics, each at most once. Blocks.

        Raises:
            TransportError: the broker does not answer, or rejected a mark.
        """
        wanted = set(positions)
        with self._redriving:
            dead = read_letters(self._transport, self._pipeline, since_ns=self._since_ns())
            planned = plan(dead, Selection(), again=True)
            chosen = [one for one in planned.wanted if (one.tp.partition, one.at) in wanted and may_see(one.stream)]
            skipped = [
                one.reason
                for one in planned.skipped
                if (one.letter.tp.partition, one.letter.at) in wanted and may_see(one.letter.stream)
            ]
            outcome = redrive(self._transport, dead, chosen, pipeline=self._pipeline)
            self._forget()
        unknown = len(wanted) - len(chosen) - len(skipped)
        reasons = [*skipped, *(one.reason for one in outcome.failed)]
        if unknown:
            reasons.append(f"{unknown} are no letters of the last day that can be redriven, or were redriven before")
        return RedriveBody(
            redriven=outcome.redriven + outcome.already_redriven,
            failed=len(outcome.failed),
            skipped=len(skipped) + unknown,
            reasons=tuple(dict.fromkeys(reasons)),
        )

    def _letters(self) -> DeadLetters:
        """Return the letters, read anew every few seconds at most."""
        with self._reading:
            if self._read is None or time.monotonic() - self._read_s > _FRESH_S:
                self._read = read_letters(self._transport, self._pipeline, since_ns=self._since_ns())
                self._read_s = time.monotonic()
            return self._read

    def _forget(self) -> None:
        with self._reading:
            self._read = None

    def _since_ns(self) -> int:
        return max(0, self._clock_ns() - KEPT_NS)

    def _find(self, dead: DeadLetters, partition: int, offset: int) -> StoredDeadLetter | None:
        tp = TopicPartition(dead_topic(self._pipeline), partition)
        return next((letter for letter in dead.newest() if (letter.tp, letter.at) == (tp, offset)), None)


def _redrivable(dead: DeadLetters) -> set[str]:
    return {letter.id for letter in plan(dead, Selection(), again=True).wanted}


def _row(dead: DeadLetters, letter: StoredDeadLetter, redrivable: set[str]) -> LetterRow:
    return LetterRow(
        partition=letter.tp.partition,
        offset=letter.at,
        id=letter.id,
        reason=letter.code,
        text=letter.reason,
        feed=letter.stream,
        topic=letter.topic,
        appended_ms=to_ms(letter.appended_ns),
        bytes=letter.size_bytes,
        state=dead.state(letter),
        can_redrive=letter.id in redrivable,
    )


def _as_text(value: bytes) -> str | None:
    """Return the beginning of a value as text; None if it is none. The last character may be cut."""
    for cut in range(4):
        try:
            decoded = value[: len(value) - cut].decode()
        except UnicodeDecodeError:
            continue
        return None if "\0" in decoded else decoded
    return None
