"""The command `triptych watch`: write results to a terminal or a pipe until the subscription ends."""

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

from triptych.consumers.subscription.description_subscriber import DescriptionSubscriber
from triptych.consumers.subscription.result_buffer import Revisions
from triptych.consumers.subscription.result_source import ResultSource
from triptych.consumers.subscription.result_tracer import open_result_tracer
from triptych.consumers.subscription.sources import kafka_source, redis_source
from triptych.consumers.subscription.subscriber import Results, Subscriber
from triptych.consumers.watching.silence import Silence
from triptych.consumers.watching.table import ResultsTable
from triptych.schemas.results import Result
from triptych.service.logs import configure_logs
from triptych.settings.tree import Settings

log = structlog.get_logger(__name__)

_REFRESHES_PER_SECOND: Final = 4

SourceName = Literal["redis", "kafka"]
Condition = Callable[[Result], bool]


@dataclass(frozen=True, slots=True)
class WatchOptions:
    """Which results to show."""

    stream: str | None
    since: str | None
    until_end: bool
    where: str | None = None
    revisions: Revisions = "newest"


def watch_results(settings: Settings, origin: SourceName, options: WatchOptions, *, as_json: bool) -> None:
    """Show results until a signal, the end of the subscription, or the end of the reading process.

    Raises:
        TriptychError: the results cannot be read.
    """
    configure_logs(settings.log)
    condition = _condition(options.where)
    source = open_source(settings, origin)
    traced = open_result_tracer(settings.trace, "triptych-watch", pipeline=settings.pipeline, system=origin)
    with traced as tracer, Subscriber(source, tracer=tracer) as subscriber:
        results = subscriber.results(
            options.stream, options.since, until_end=options.until_end, revisions=options.revisions
        )
        silence = Silence(lambda: subscriber.counts.delivered, source, options.stream, settings.pipeline)
        with stopped_by_sigterm(results), silence.reported(at_end=options.until_end):
            if as_json:
                if _write_lines(results, sys.stdout.buffer, condition):
                    log.info("watched", results=subscriber.counts.delivered, cursor=str(results.cursor))
            else:
                _show_table(results, condition)


def open_source(settings: Settings, origin: SourceName) -> ResultSource:
    """Return the source that the settings configure. Nothing is sent yet."""
    if origin == "redis":
        return redis_source(settings.redis.full_url(), pipeline=settings.pipeline)
    return kafka_source(settings.kafka, pipeline=settings.pipeline)


def _condition(rule: str | None) -> Condition:
    if rule is None:
        return lambda _: True
    from triptych.consumers.rules.rule import Rule  # noqa: PLC0415 - its library is only imported if there is a rule

    return Rule(rule).matches


def _write_lines(results: Results, out: BinaryIO, condition: Condition) -> bool:
    """Write each result as published, one per line, unbuffered; return whether the reader took all of them."""
    try:
        for delivery in results.deliveries():
            if not condition(delivery.result):
                continue
            # In JSON, line breaks only occur between tokens, where they mean nothing.
            out.write(delivery.document.replace(b"\r", b" ").replace(b"\n", b" ") + b"\n")
            out.flush()
    except BrokenPipeError:
        # The reader has closed the pipe (`| head`). Discard the buffer, which Python would try to write at exit.
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return False
    return True


def _show_table(results: Results, condition: Condition) -> None:
    table = ResultsTable()
    with Live(table, console=Console(), refresh_per_second=_REFRESHES_PER_SECOND):
        for result in results:
            if condition(result):
                table.add(result)


@contextmanager
def stopped_by_sigterm(results: Results | DescriptionSubscriber) -> Iterator[None]:
    """End the subscription on the first SIGTERM, and the process on the second."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        results.stop()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
