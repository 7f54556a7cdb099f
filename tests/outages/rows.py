"""The outages of the table: what is away, for how long, and how it comes back."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tests.chaos.link import Link
from tests.chaos.sent import LoopedClip
from tools.devservers import DevKafka

SLOW_SHARE: Final = 0.25


@dataclass(frozen=True, slots=True)
class Place:
    """What an outage can affect. The feed's link needs `link_bytes_per_s`."""

    kafka: DevKafka
    feed: LoopedClip
    link: Link
    link_bytes_per_s: float


@dataclass(frozen=True, slots=True)
class Row:
    """An outage: `cause` makes it last for `length_s` and repairs it."""

    what: str
    length_s: float
    cause: Callable[[Place, float], None]

    @property
    def name(self) -> str:
        """What was away, for how long."""
        return f"{self.what}, {self.length_s:g} s"


def _kill_broker(place: Place, length_s: float) -> None:
    place.kafka.kill()
    time.sleep(length_s)
    place.kafka.start()


def _stop_broker(place: Place, length_s: float) -> None:
    place.kafka.stop()
    time.sleep(length_s)
    place.kafka.start()


def _suspend_broker(place: Place, length_s: float) -> None:
    place.kafka.freeze()
    time.sleep(length_s)
    place.kafka.thaw()


def _suspend_producer(place: Place, length_s: float) -> None:
    place.feed.program.freeze()
    time.sleep(length_s)
    place.feed.program.thaw()


def _cut_link(place: Place, length_s: float) -> None:
    place.link.cut(length_s)


def _slow_link(place: Place, length_s: float) -> None:
    place.link.slow(SLOW_SHARE * place.link_bytes_per_s, length_s)


ROWS: Final = (
    Row("broker killed", 12, _kill_broker),
    Row("broker killed", 40, _kill_broker),
    Row("broker stopped", 15, _stop_broker),
    Row("broker stopped", 40, _stop_broker),
    Row("broker suspended", 15, _suspend_broker),
    Row("producer suspended", 15, _suspend_producer),
    Row("producer suspended", 40, _suspend_producer),
    Row("link cut", 15, _cut_link),
    Row("link slowed to a quarter", 60, _slow_link),
)
