"""The command `triptych work`. Imports what is heavy when it runs."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Final

import typer

from triptych.schemas.errors import UsageError
from triptych.service.cli_options import BootstrapServersOption, ConfigOption, PipelineOption, RedisUrlOption

if TYPE_CHECKING:
    from pathlib import Path


_STATES: Final = {
    "done": "done",
    "done before": "done before, nothing left to do",
    "shared": "this worker's share is done, others go on",
    "stopped": "stopped; the same command goes on",
}


class LateChoice(StrEnum):
    """What becomes of a late item."""

    DROP = "drop"
    REVISE = "revise"


class OverloadChoice(StrEnum):
    """What becomes of windows that are too many."""

    WAIT = "wait"
    DEGRADE = "degrade"
    SKIP = "skip"


def work(
    *,
    until_end: Annotated[
        bool,
        typer.Option(
            "--until-end", help="Stop when everything there is has been read and what can close is published."
        ),
    ] = False,
    from_: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="TIME",
            help="Reprocess what arrived in Kafka from then on, as --pipeline, and end: "
            "2026-01-01T12:00:00Z, or -2h for two hours ago.",
        ),
    ] = None,
    until: Annotated[
        str | None, typer.Option(metavar="TIME", help="With --from: up to then; all there is, if not given.")
    ] = None,
    lead: Annotated[
        str | None,
        typer.Option(
            metavar="LENGTH",
            help="With --from: read so much before it, so that its first windows are whole "
            "(90s, 10m; align.stream_ttl_ms if not given).",
        ),
    ] = None,
    partial: Annotated[
        bool, typer.Option("--partial", help="With --from: go on though retention has taken the beginning.")
    ] = False,
    model: Annotated[
        str | None,
        typer.Option(metavar="NAME|PATH", help="base, content, null to test the flow, or a trained one (model.name)."),
    ] = None,
    shadow: Annotated[
        str | None,
        typer.Option(metavar="NAME|PATH", help="A second model, compared and never published (model.shadow)."),
    ] = None,
    device: Annotated[
        str | None, typer.Option(metavar="DEVICE", help="auto, cpu, cuda, cuda:1, … (model.device).")
    ] = None,
    overload: Annotated[
        OverloadChoice | None,
        typer.Option(
            "--overload",
            help="What to do where the worker cannot keep up: wait, show the model fewer pictures, or in the end not "
            "ask it (worker.overload).",
        ),
    ] = None,
    delivery: Annotated[
        str | None,
        typer.Option(metavar="MODE", help="at_least_once, or exactly_once with Kafka transactions (delivery)."),
    ] = None,
    window_ms: Annotated[int | None, typer.Option(metavar="MS", help="Length of a window (window.size_ms).")] = None,
    late: Annotated[
        LateChoice | None,
        typer.Option(help="What becomes of items whose window has closed (align.late)."),
    ] = None,
    allowed_lateness_ms: Annotated[
        int | None,
        typer.Option(metavar="MS", help="With --late revise: how far back windows are (align.allowed_lateness_ms)."),
    ] = None,
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
    SIGHUP, or a change of its file, loads a trained model anew, while the one in service goes on.

    With --from, judges a span of what came before once more, under the name of another pipeline; the same command goes
    on where it was interrupted, and several workers may share the work. `triptych diff` compares the two.
    """
    from triptych.settings.loading import load
    from triptych.worker.run import work as run

    flags = {
        "model.name": model,
        "model.shadow": shadow,
        "model.device": device,
        "worker.overload": None if overload is None else overload.value,
        "delivery": delivery,
        "window.size_ms": window_ms,
        "align.late": None if late is None else late.value,
        "align.allowed_lateness_ms": allowed_lateness_ms,
        "http.port": http_port,
        "kafka.bootstrap_servers": bootstrap_servers,
        "redis.url": redis_url,
        "pipeline": pipeline,
    }
    if overload not in {None, OverloadChoice.WAIT} and (until_end or from_ is not None):
        raise UsageError("--overload is for a worker that goes on: with --until-end and --from it waits")
    if from_ is not None:
        _reprocess(from_, until, lead, partial=partial, until_end=until_end, config=config, flags=flags)
        return
    if until is not None or lead is not None or partial:
        raise UsageError("--until, --lead and --partial belong to --from TIME")
    report = run(load(config, flags), until_end=until_end)
    if until_end and report.open_streams:
        typer.echo(f"Still open, and left uncommitted: {', '.join(report.open_streams)}", err=True)


def _reprocess(
    since: str,
    until: str | None,
    lead: str | None,
    *,
    partial: bool,
    until_end: bool,
    config: Path | None,
    flags: dict[str, str | int | None],
) -> None:
    from triptych.settings.loading import load
    from triptych.worker.reprocessing.run import reprocess
    from triptych.worker.reprocessing.summary import summary_lines
    from triptych.worker.reprocessing.time_range import SpanRequest
    from triptych.worker.reprocessing.times import parse_length, parse_time

    if flags["pipeline"] is None:
        raise UsageError("--from needs --pipeline NAME: what is judged again is published under a name of its own")
    if until_end:
        raise UsageError("--from ends by itself: leave --until-end away")
    request = SpanRequest(
        since=parse_time(since),
        until=None if until is None else parse_time(until),
        lead_ns=None if lead is None else parse_length(lead),
        partial=partial,
    )
    settings = load(config, flags)
    outcome = reprocess(settings, request)
    typer.echo(f"{settings.pipeline} reprocesses what arrived from {outcome.span}: {_STATES[outcome.state]}")
    if outcome.open_streams:
        typer.echo(f"Still open at the end of the span, not published: {', '.join(outcome.open_streams)}", err=True)
    usual = load(config, flags | {"pipeline": None}).pipeline
    lines = summary_lines(outcome.summary, settings.pipeline, usual)
    for line in lines if outcome.state.startswith("done") else lines[:1]:
        typer.echo(line)
