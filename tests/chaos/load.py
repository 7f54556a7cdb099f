"""A steady load in real time: streams of all three modalities, some of them irregular, with poison records on request.

Event time starts at a fixed time and depends on the records only: the log alone determines the expected results.
"""

from __future__ import annotations

import queue
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass, field
from functools import cache
from typing import Final, NamedTuple

from tests.chaos.compression import COMPRESSIONS, mixed_compressions
from tests.chaos.poisons import Poisoning
from tests.chaos.sent import item_of
from tests.chaos.truth import Item, Truth
from tests.e2e.poison import message_of
from tests.e2e.programs import Installation
from tests.worker.world import SECOND, Feed, jpeg, wav
from triptych.producers.session.session_boundary import SessionBoundary
from triptych.schemas.names import MODALITIES
from triptych.schemas.records import InputRecord
from triptych.transport.protocols import Publisher
from triptych.transport.records import Delivered, Message

STEADY: Final = tuple(f"steady-{number}" for number in range(8))
"""Streams that send without interruption. Their results show whether the workers are working."""
UNSTEADY: Final = ("mute-0", "mute-1", "restless-0", "restless-1")
"""Irregular streams. The first two lose their audio for some seconds now and then; the others start new sessions."""
STEP_S: Final = 0.5
_CHUNK_S: Final = 0.5
_MUTE_STEPS: Final = (4, 16)
_CHANGE_PROBABILITY: Final = 0.02
"""Probability that an unsteady stream changes in a step."""
_FLUSH_LIMIT_S: Final = 120.0


@cache
def _image() -> bytes:
    return jpeg()


@cache
def _audio() -> bytes:
    return wav(_CHUNK_S)


class ScheduledMessage(NamedTuple):
    """A message, with the kind of poison if it is a poison record, and its item if it belongs to a window."""

    message: Message
    poison: Poisoning | None = None
    item: Item | None = None


@dataclass(slots=True)
class Player:
    """Creates the messages of one stream, step by step.

    The end of a session goes through the `SessionBoundary` of the real producers: with all ends and nothing of the next
    session a window would close, and an outage can come in between.
    """

    stream: str
    rng: random.Random
    feed: Feed = field(init=False)
    boundary: SessionBoundary = field(default_factory=SessionBoundary)
    sessions: int = 0
    mute_steps: int = 0

    def __post_init__(self) -> None:
        """Start the first session."""
        self._begin_session()

    def step(self, at_s: float, poison: Poisoning | None) -> Iterator[ScheduledMessage]:
        """Yield the messages of one step, with one poison record if `poison` is given."""
        if at_s:
            self._change_state()
        if self.feed.session != f"s{self.sessions}":
            self._hold_ends(at_s)
            self._begin_session()
        is_mute = self.mute_steps > 0
        self.mute_steps -= is_mute
        for record in self._records(at_s, poison):
            spoiled_by = poison if poison is not None and poison.modality == record.modality else None
            if is_mute and record.modality == "audio" and spoiled_by is None:
                continue
            *ends, _ = self.boundary.push(record, round(at_s * SECOND))
            yield from (ScheduledMessage(message_of(end)) for end in ends)
            if spoiled_by is not None:
                item = None if spoiled_by.is_found_on_reading else item_of(record)
                yield ScheduledMessage(spoiled_by.spoil(record), spoiled_by, item)
            else:
                yield ScheduledMessage(message_of(record), item=item_of(record))

    def end(self, at_s: float) -> Iterator[ScheduledMessage]:
        """Yield the end messages of all tracks."""
        self._hold_ends(at_s)
        yield from (ScheduledMessage(message_of(end)) for end in self.boundary.release_all())

    def _hold_ends(self, at_s: float) -> None:
        for modality in MODALITIES:
            held = list(self.boundary.push(self.feed.end(modality, at_s), round(at_s * SECOND)))
            assert not held, held

    def _begin_session(self) -> None:
        self.feed = Feed(self.stream, f"s{self.sessions}")

    def _change_state(self) -> None:
        if self.stream in STEADY or self.rng.random() >= _CHANGE_PROBABILITY:
            return
        if self.stream.startswith("mute"):
            self.mute_steps = self.rng.randint(*_MUTE_STEPS)
        else:
            self.sessions += 1

    def _records(self, at_s: float, poison: Poisoning | None) -> Iterator[InputRecord]:
        next_s = at_s + STEP_S
        if at_s % 2 == 0 or (poison is not None and poison.modality == "subtitles"):
            yield self.feed.cue(at_s, at_s + 1, f"words at {at_s:g}", next_s)
        else:
            yield self.feed.progress("subtitles", at_s, next_s)
        next_ns = self.feed.start_ns + round(next_s * SECOND)
        yield self.feed.frame(at_s, _image()).model_copy(update={"next_ns": next_ns})
        yield self.feed.chunk(at_s, _audio())


class Load:
    """Sends the messages of all streams on its own thread, from `start` to `finish`."""

    def __init__(self, installation: Installation, seed: int) -> None:
        self._installation = installation
        self._rng = random.Random(f"{seed}/load")  # noqa: S311 - reproducible, not secret
        self._players = [Player(stream, self._rng) for stream in (*STEADY, *UNSTEADY)]
        self._poison_queue: queue.SimpleQueue[Poisoning] = queue.SimpleQueue()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="load", daemon=True)
        self._error: BaseException | None = None
        self._poisoned: list[tuple[Poisoning, Future[Delivered]]] = []
        self._items: list[tuple[Item, Future[Delivered]]] = []
        self.sent = 0
        self.length_s = 0.0

    def start(self) -> None:
        """Start to send."""
        self._thread.start()

    def poison(self, poisoning: Poisoning) -> None:
        """Replace one of the next records by a poison record."""
        self._poison_queue.put(poisoning)

    def finish(self) -> None:
        """End all streams. Block until every record is acknowledged.

        Raises the error of the sending thread, if any.
        """
        self._stop.set()
        self._thread.join()
        if self._error is not None:
            raise self._error

    @property
    def poisoned(self) -> Counter[str]:
        """The number of poison records sent, by name."""
        return Counter(poisoning.name for poisoning, _ in self._poisoned)

    def positions_found_on_reading(self) -> set[tuple[str, int, int]]:
        """Return the positions of poison records that every worker rejects when it reads them."""
        delivered = [future.result(0) for poisoning, future in self._poisoned if poisoning.is_found_on_reading]
        return {(one.topic, one.partition, one.offset) for one in delivered}

    def truth(self) -> Truth:
        """Return what was sent. An item that was not acknowledged counts as shed."""
        refused = Counter(item.stream for item, future in self._items if future.exception(0) is not None)
        return Truth([item for item, _ in self._items], refused)

    def _run(self) -> None:
        try:
            with closing(self._installation.transport()) as transport, mixed_compressions():
                self._play([transport.publisher() for _ in COMPRESSIONS])
        except BaseException as error:  # noqa: BLE001 - raised by finish
            self._error = error

    def _play(self, publishers: Sequence[Publisher]) -> None:
        """Play all streams, each with the same publisher throughout."""
        publisher_of = {player.stream: publishers[at % len(publishers)] for at, player in enumerate(self._players)}
        started_s, steps = time.monotonic(), 0
        while not self._stop.wait(max(0.0, started_s + steps * STEP_S - time.monotonic())):
            for player, poison in self._with_poison(steps):
                self._send(publisher_of[player.stream], player.step(steps * STEP_S, poison))
            steps += 1
        self.length_s = steps * STEP_S
        for player in self._players:
            self._send(publisher_of[player.stream], player.end(self.length_s))
        for publisher in publishers:
            publisher.flush(_FLUSH_LIMIT_S)

    def _send(self, publisher: Publisher, played: Iterator[ScheduledMessage]) -> None:
        for message, poison, item in played:
            future = publisher.send(message)
            self.sent += 1
            if item is not None:
                self._items.append((item, future))
            if poison is not None:
                self._poisoned.append((poison, future))

    def _with_poison(self, steps: int) -> list[tuple[Player, Poisoning | None]]:
        """Return all players, some with requested poison. The first step has none, so that all streams start."""
        players: list[tuple[Player, Poisoning | None]] = [(player, None) for player in self._players]
        for at in self._rng.sample(range(len(players)), len(players)):
            if steps and not self._poison_queue.empty():
                players[at] = (players[at][0], self._poison_queue.get_nowait())
        return players
