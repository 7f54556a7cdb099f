"""The command `triptych rebuild redis`. It imports the clients when it runs."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Final

import typer

from triptych.service.cli_options import BootstrapServersOption, ConfigOption, PipelineOption, RedisUrlOption

if TYPE_CHECKING:
    from triptych.worker.rebuilding.rebuild import RebuildReport
    from triptych.worker.rebuilding.result_log import Progress

app = typer.Typer(help="Write again what was lost, from the results topic.", no_args_is_help=True, add_completion=False)

_LINE_EVERY_S: Final = 10.0


@app.callback()
def rebuild() -> None:
    """Write again what was lost, from the results topic."""


@app.command("redis")
def rebuild_redis(
    *,
    since: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="Only results that were published since this time: 2026-01-01T12:00:00Z, or -2d for two days ago. "
            "Default: all that the topic holds.",
        ),
    ] = None,
    stream: Annotated[str | None, typer.Option(metavar="STREAM", help="Only results of this stream.")] = None,
    config: ConfigOption = None,
    bootstrap_servers: BootstrapServersOption = None,
    redis_url: RedisUrlOption = None,
    pipeline: PipelineOption = None,
) -> None:
    """Write the results of the results topic into Redis again, as the workers wrote them. Workers may run.

    Results that Redis has are left alone, and a newer one is never replaced by an older one. See docs/redis-backup.md.
    """
    from contextlib import closing

    from triptych.schemas.names import checked_stream
    from triptych.service.logs import configure_logs
    from triptych.settings.loading import load
    from triptych.transport.open import open_transport
    from triptych.worker.publishing.stores.redis import RedisStore
    from triptych.worker.rebuilding.rebuild import Rebuild
    from triptych.worker.rebuilding.result_log import results_in_order
    from triptych.worker.reprocessing.times import parse_time

    flags = {"kafka.bootstrap_servers": bootstrap_servers, "redis.url": redis_url, "pipeline": pipeline}
    settings = load(config, flags)
    configure_logs(settings.log)
    since_ns = 0 if since is None else parse_time(since).at(time.time_ns())
    wanted = None if stream is None else checked_stream(stream)
    store = RedisStore.from_settings(settings.redis, pipeline=settings.pipeline)
    with closing(open_transport(settings.kafka)) as transport, closing(store), _progress() as progress:
        store.ping()
        task = Rebuild(store, max_results=settings.redis.results_maxlen, stream=wanted)
        report = task.run(lambda: results_in_order(transport, settings.pipeline, since_ns=since_ns, progress=progress))
    for line in _lines(report):
        typer.echo(line)


def _lines(report: RebuildReport) -> Iterator[str]:
    yield f"{report.read} results read; {report.new} of {len(report.streams)} streams were not in Redis, and are now"
    if report.left_out:
        yield f"{report.left_out} are left out: Redis keeps the newest of each stream (redis.results_maxlen)"
    if report.unreadable:
        yield f"{report.unreadable} records on the topic are no results, and are left out"


@contextmanager
def _progress() -> Iterator[Progress]:
    """Show a bar on a terminal; otherwise a line now and then. Both go to stderr."""
    from rich.console import Console
    from rich.progress import Progress as Bars

    is_terminal = sys.stderr.isatty()
    with Bars(console=Console(stderr=True), transient=True, disable=not is_terminal) as bars:
        task = bars.add_task("reading results", total=None)
        said_s = time.monotonic()

        def show(done: int, total: int) -> None:
            nonlocal said_s
            bars.update(task, completed=done, total=total)
            if not is_terminal and time.monotonic() - said_s >= _LINE_EVERY_S:
                said_s = time.monotonic()
                typer.echo(f"{done} of {total} results read", err=True)

        yield show
