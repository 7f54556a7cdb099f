"""The command `triptych work`. Imports what is heavy when it runs."""

from __future__ import annotations

from typing import Annotated

import typer

from triptych.options import BootstrapServersOption, ConfigOption, PipelineOption, RedisUrlOption


def work(
    *,
    until_end: Annotated[
        bool,
        typer.Option(
            "--until-end", help="Stop when everything there is has been read and what can close is published."
        ),
    ] = False,
    model: Annotated[
        str | None,
        typer.Option(metavar="NAME|PATH", help="base, null to test the flow, or a trained model (model.name)."),
    ] = None,
    device: Annotated[
        str | None, typer.Option(metavar="DEVICE", help="auto, cpu, cuda, cuda:1, … (model.device).")
    ] = None,
    window_ms: Annotated[int | None, typer.Option(metavar="MS", help="Length of a window (window.size_ms).")] = None,
    http_port: Annotated[
        int | None, typer.Option(metavar="PORT", help="For /metrics, /healthz, /readyz; 0 for none (http.port).")
    ] = None,
    config: ConfigOption = None,
    bootstrap_servers: BootstrapServersOption = None,
    redis_url: RedisUrlOption = None,
    pipeline: PipelineOption = None,
) -> None:
    """Join pictures, sound and words of all feeds in time, run the model, publish results.

    Runs until a first SIGTERM or Ctrl-C, then finishes what is in flight, publishes, commits and exits with 0.
    """
    from triptych.settings import load
    from triptych.worker.run import work as run

    flags = {
        "model.name": model,
        "model.device": device,
        "window.size_ms": window_ms,
        "http.port": http_port,
        "kafka.bootstrap_servers": bootstrap_servers,
        "redis.url": redis_url,
        "pipeline": pipeline,
    }
    report = run(load(config, flags), until_end=until_end)
    if until_end and report.open_streams:
        typer.echo(f"Still open, and left uncommitted: {', '.join(report.open_streams)}", err=True)
