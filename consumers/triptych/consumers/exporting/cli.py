"""The command `triptych export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from triptych.consumers.cli import SourceChoice, WhereOption
from triptych.service.cli_options import BootstrapServersOption, ConfigOption, PipelineOption, RedisUrlOption


def export(
    stream: Annotated[str | None, typer.Argument(help="One stream. Default: all streams.")] = None,
    *,
    to: Annotated[Path, typer.Option(metavar="FILE", help="The .parquet file to write.", show_default=False)],
    since: Annotated[
        str | None,
        typer.Option(
            metavar="CURSOR|TIME",
            help="Where to start: a cursor, or a publication time with its zone. Default: everything that is kept.",
        ),
    ] = None,
    where: WhereOption = None,
    from_: Annotated[SourceChoice, typer.Option("--from", help="Where to read the results.")] = SourceChoice.REDIS,
    config: ConfigOption = None,
    bootstrap_servers: BootstrapServersOption = None,
    redis_url: RedisUrlOption = None,
    pipeline: PipelineOption = None,
) -> None:
    """Write the results that exist now to a Parquet file, for DuckDB, pandas and others."""
    from triptych.consumers.exporting.export import ExportOptions, export_results
    from triptych.consumers.subscription.subscriber import Subscriber
    from triptych.consumers.watching.watch import open_source
    from triptych.service.logs import configure_logs
    from triptych.settings.loading import load

    flags = {"kafka.bootstrap_servers": bootstrap_servers, "redis.url": redis_url, "pipeline": pipeline}
    settings = load(config, flags)
    configure_logs(settings.log)
    with Subscriber(open_source(settings, from_.value)) as subscriber:
        export_results(subscriber, to, ExportOptions(stream, since, where))
