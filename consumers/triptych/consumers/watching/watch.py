"""What `triptych watch` does: results from a subscription to a terminal or to a pipe, until it ends."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import FrameType
from typing import BinaryIO, Final, Literal

import structlog
from rich.console import Console
from rich.live import Live

from triptych.consumers.subscription.result_buffer import Revisions
from triptych.consumers.subscription.result_source import ResultSource
from triptych.consumers.subscription.sources import kafka_source, redis_source
from triptych.consumers.subscription.subscriber import Results, Subscriber
from triptych.consumers.watching.table import ResultsTable
from triptych.schemas.results import Result
from triptych.service.logs import configure_logs
from triptych.settings.tree import Settings

log = structlog.get_logger(__name__)

_TABLES_A_SECOND: Final = 4

Origin = Literal["redis", "kafka"]
Condition = Callable[[Result], bool]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which results to show."""

    stream: str | None
    since: str | None
    until_end: bool
    where: str | None = None
    revisions: Revisions = "newest"


def watch_results(settings: Settings, origin: Origin, wanted: Wanted, *, as_json: bool) -> None:
    """Show results until a signal, the end that was asked for, or a reader that has enough.

    Raises `TriptychError` where the results cannot be read.
    """
    configure_logs(settings.log)
    shows = _condition(wanted.where)
    with Subscriber(open_source(settings, origin)) as subscriber:
        results = subscriber.results(
            wanted.stream, wanted.since, until_end=wanted.until_end, revisions=wanted.revisions
        )
        with _stopped_by_sigterm(results):
            if as_json:
                if _write_lines(results, sys.stdout.buffer, shows):
                    log.info("watched", results=subscriber.counts.delivered, cursor=str(results.cursor))
            else:
                _show_table(results, shows)


def open_source(settings: Settings, origin: Origin) -> ResultSource:
    """Return the source that the settings name; nothing is sent yet."""
    if origin == "redis":
        return redis_source(settings.redis.full_url(), pipeline=settings.pipeline)
    return kafka_source(settings.kafka, pipeline=settings.pipeline)


def _condition(rule: str | None) -> Condition:
    if rule is None:
        return lambda _: True
    from triptych.consumers.rules.rule import Rule  # noqa: PLC0415 - its library is only imported if there is a rule

    return Rule(rule).matches


def _write_lines(results: Results, out: BinaryIO, shows: Condition) -> bool:
    """Write each result as it was published, one a line, at once; say whether the reader took them all."""
    try:
        for delivery in results.deliveries():
            if not shows(delivery.result):
                continue
            # Line breaks in JSON stand between its parts only, and mean nothing there.
            out.write(delivery.document.replace(b"\r", b" ").replace(b"\n", b" ") + b"\n")
            out.flush()
    except BrokenPipeError:
        # The reader has enough (`| head`). What is still buffered has nowhere to go, and Python would try again.
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return False
    return True


def _show_table(results: Results, shows: Condition) -> None:
    table = ResultsTable()
    with Live(table, console=Console(), refresh_per_second=_TABLES_A_SECOND):
        for result in results:
            if shows(result):
                table.add(result)


@contextmanager
def _stopped_by_sigterm(results: Results) -> Iterator[None]:
    """Let the first SIGTERM end the subscription, and a second one the process."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        results.stop()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
