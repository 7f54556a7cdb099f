"""The command `triptych doctor`. It imports the clients when it runs."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from typing import Annotated

import typer

from triptych.service.cli_options import BootstrapServersOption, ConfigOption, PipelineOption, RedisUrlOption


def doctor(
    stream: Annotated[str | None, typer.Argument(help="One stream. Default: all with records of the last day.")] = None,
    *,
    json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    patience: Annotated[
        float,
        typer.Option(min=0, metavar="S", help="How long a stream may be silent, or a step behind the one before it."),
    ] = 60.0,
    config: ConfigOption = None,
    bootstrap_servers: BootstrapServersOption = None,
    redis_url: RedisUrlOption = None,
    pipeline: PipelineOption = None,
) -> None:
    """Follow a feed from the topics through worker and results to Redis, and say where it stops. Reads only.

    Exit code 1 if something is wrong, also if Kafka or Redis does not answer.
    """
    from rich.console import Console

    from triptych.consumers.doctor.judgement import judge, stops_at
    from triptych.consumers.doctor.look import Surveyor
    from triptych.consumers.doctor.text import check_json, check_lines, check_table, verdict
    from triptych.consumers.subscription.redis_source import RedisSource
    from triptych.schemas.names import checked_stream
    from triptych.service.logs import configure_logs
    from triptych.settings.loading import load
    from triptych.transport.open import open_transport
    from triptych.units import NS_PER_MS, NS_PER_S

    flags = {"kafka.bootstrap_servers": bootstrap_servers, "redis.url": redis_url, "pipeline": pipeline}
    settings = load(config, flags)
    configure_logs(settings.log)
    wanted = None if stream is None else checked_stream(stream)
    surveyor = Surveyor(
        settings.pipeline,
        settings.kafka.max_record_bytes,
        idle_ns=settings.align.idle_timeout_ms * NS_PER_MS,
        patience_ns=round(patience * NS_PER_S),
    )
    with ExitStack() as stack:
        index = RedisSource(settings.redis.full_url(), pipeline=settings.pipeline)
        stack.callback(index.close)
        transport = open_transport(settings.kafka)
        stack.callback(transport.close)
        checks = judge(surveyor.look(transport, index, wanted))
    if json:
        typer.echo(check_json(checks, pipeline=settings.pipeline, stream=wanted))
    elif sys.stdout.isatty():
        console = Console()
        console.print(check_table(checks))
        console.print(verdict(checks), highlight=False)
    else:
        typer.echo("\n".join((*check_lines(checks), verdict(checks))))
    if stops_at(checks) is not None:
        raise typer.Exit(1)
