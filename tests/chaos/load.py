"""A steady load in real time: streams of all three modalities, some of them moody, and poison where it is ordered.

Event time is counted from a fixed moment and comes with the records, so the log alone says what has to be published.
"""

from __future__ import annotations

import queue
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass, field
from functools import cache
from typing import Final, NamedTuple

from tests.chaos.poisons import Poisoning
from tests.e2e.poison import message_of
from tests.e2e.programs import Installation
from tests.worker.world import SECOND, Feed, jpeg, wav
from triptych.schemas.names import MODALITIES
from triptych.schemas.records import InputRecord
from triptych.transport.protocols import Publisher
from triptych.transport.records import Delivered, Message

STEADY: Final = tuple(f"steady-{number}" for number in range(8))
"""These always have something to say, so what they publish shows that the workers work."""
MOODY: Final = ("mute-0", "mute-1", "restless-0", "restless-1")
"""The first two lose their sound for some seconds now and then, the others end and come back as new sessions."""
STEP_S: Final = 0.5
_CHUNK_S: Final = 0.5
_MUTE_STEPS: Final = (4, 16)
_MOOD_SHARE: Final = 0.02
"""How likely a moody stream changes in a step."""
_FLUSH_LIMIT_S: Final = 120.0


@cache
def _picture() -> bytes:
    return jpeg()


@cache
def _sound() -> bytes:
    return wav(_CHUNK_S)


class Played(NamedTuple):
    """A message, and with what it was spoilt, if it was."""

    message: Message
    poison: Poisoning | None = None


@dataclass(slots=True)
class Player:
    """Makes the messages of one stream, step by step."""

    stream: str
    dice: random.Random
    feed: Feed = field(init=False)
    sessions: int = 0
    mute_steps: int = 0

    def __post_init__(self) -> None:
        """Begin the first session."""
        self._begin_session()

    def step(self, at_s: float, poison: Poisoning | None) -> Iterator[Played]:
        """Return what the stream says at a moment, with one record spoilt where poison is given."""
        if at_s:
            self._change_mood()
        if self.feed.session != f"s{self.sessions}":
            yield from self.end(at_s)
            self._begin_session()
        is_mute = self.mute_steps > 0
        self.mute_steps -= is_mute
        for record in self._records(at_s, poison):
            is_meant = poison is not None and poison.modality == record.modality
            if poison is not None and is_meant:
                yield Played(poison.spoil(record), poison)
            elif not (is_mute and record.modality == "audio"):
                yield Played(message_of(record))

    def end(self, at_s: float) -> Iterator[Played]:
        """Return the ends of all tracks."""
        for modality in MODALITIES:
            yield Played(message_of(self.feed.end(modality, at_s)))

    def _begin_session(self) -> None:
        self.feed = Feed(self.stream, f"s{self.sessions}")

    def _change_mood(self) -> None:
        if self.stream in STEADY or self.dice.random() >= _MOOD_SHARE:
            return
        if self.stream.startswith("mute"):
            self.mute_steps = self.dice.randint(*_MUTE_STEPS)
        else:
            self.sessions += 1

    def _records(self, at_s: float, poison: Poisoning | None) -> Iterator[InputRecord]:
        next_s = at_s + STEP_S
        if at_s % 2 == 0 or (poison is not None and poison.modality == "subtitles"):
            yield self.feed.cue(at_s, at_s + 1, f"words at {at_s:g}", next_s)
        else:
            yield self.feed.progress("subtitles", at_s, next_s)
        next_ns = self.feed.start_ns + round(next_s * SECOND)
        yield self.feed.frame(at_s, _picture()).model_copy(update={"next_ns": next_ns})
        yield self.feed.chunk(at_s, _sound())


class Load:
    """Plays all streams on a thread of its own, from `start` to `finish`."""

    def __init__(self, installation: Installation, seed: int) -> None:
        self._installation = installation
        self._dice = random.Random(f"{seed}/load")  # noqa: S311 - to be repeated, not to be secret
        self._players = [Player(stream, self._dice) for stream in (*STEADY, *MOODY)]
        self._ordered: queue.SimpleQueue[Poisoning] = queue.SimpleQueue()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="load", daemon=True)
        self._error: BaseException | None = None
        self._poisoned: list[tuple[Poisoning, Future[Delivered]]] = []
        self.sent = 0
        self.length_s = 0.0

    def start(self) -> None:
        """Begin to play."""
        self._thread.start()

    def poison(self, poisoning: Poisoning) -> None:
        """Let one of the next records be poison."""
        self._ordered.put(poisoning)

    def finish(self) -> None:
        """End all streams, and return when every record lies on its topic."""
        self._stop.set()
        self._thread.join()
        if self._error is not None:
            raise self._error

    @property
    def poisoned(self) -> Counter[str]:
        """How much poison was sent, by name."""
        return Counter(poisoning.name for poisoning, _ in self._poisoned)

    def places_seen_at_once(self) -> set[tuple[str, int, int]]:
        """Return where poison lies that no worker can take for a record."""
        delivered = [future.result(0) for poisoning, future in self._poisoned if poisoning.is_seen_at_once]
        return {(one.topic, one.partition, one.offset) for one in delivered}

    def _run(self) -> None:
        try:
            with closing(self._installation.transport()) as transport:
                self._play(transport.publisher())
        except BaseException as error:  # noqa: BLE001 - handed to the thread that calls finish
            self._error = error

    def _play(self, publisher: Publisher) -> None:
        started_s, steps = time.monotonic(), 0
        while not self._stop.wait(max(0.0, started_s + steps * STEP_S - time.monotonic())):
            for player, poison in self._poured(steps):
                self._send(publisher, player.step(steps * STEP_S, poison))
            steps += 1
        self.length_s = steps * STEP_S
        for player in self._players:
            self._send(publisher, player.end(self.length_s))
        publisher.flush(_FLUSH_LIMIT_S)

    def _send(self, publisher: Publisher, played: Iterator[Played]) -> None:
        for message, poison in played:
            future = publisher.send(message)
            self.sent += 1
            if poison is not None:
                self._poisoned.append((poison, future))

    def _poured(self, steps: int) -> list[tuple[Player, Poisoning | None]]:
        """Give what is ordered to some of the players, once all have begun."""
        poured: list[tuple[Player, Poisoning | None]] = [(player, None) for player in self._players]
        for at in self._dice.sample(range(len(poured)), len(poured)):
            if steps and not self._ordered.empty():
                poured[at] = (poured[at][0], self._ordered.get_nowait())
        return poured
