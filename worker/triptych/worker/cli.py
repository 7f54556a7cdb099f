"""The command `triptych work`. Heavy modules are imported only when it runs."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Final

import typer

from triptych.schemas.errors import UsageError
from triptych.service.cli_options import BootstrapServersOption, ConfigOption, PipelineOption, RedisUrlOption

if TYPE_CHECKING:
    from triptych.settings.tree import Settings
    from triptych.worker.reprocessing.time_range import TimeRangeRequest


_STATE_TEXTS: Final = {
    "done": "done",
    "done before": "was done before, nothing left to do",
    "shared": "this worker's share is done, other workers continue",
    "stopped": "stopped; run the same command to continue",
}


class LateChoice(StrEnum):
    """What happens to late items."""

    DROP = "drop"
    COMPLETE = "complete"
    REVISE = "revise"


class OverloadChoice(StrEnum):
    """What happens when the worker cannot keep up."""

    WAIT = "wait"
    DEGRADE = "degrade"
    SKIP = "skip"


def work(
    *,
    until_end: Annotated[
        bool,
        typer.Option(
            "--until-end", help="Stop when every record is read and every window that can close is published."
        ),
    ] = False,
    from_: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="TIME",
            help="Reprocess the records that arrived in Kafka since this time, as --pipeline, then exit: "
            "2026-01-01T12:00:00Z, or -2h for two hours ago.",
        ),
    ] = None,
    until: Annotated[
        str | None, typer.Option(metavar="TIME", help="With --from: the end of the time range. Default: now.")
    ] = None,
    lead: Annotated[
        str | None,
        typer.Option(
            metavar="DURATION",
            help="With --from: how much earlier to begin reading, so that the first windows are complete: 90s, 10m. "
            "Default: align.stream_ttl_ms.",
        ),
    ] = None,
    partial: Annotated[
        bool, typer.Option("--partial", help="With --from: continue even if retention has deleted the beginning.")
    ] = False,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|PATH", help="base, content, null (no model, for tests), or a trained model (model.name)."
        ),
    ] = None,
    shadow: Annotated[
        str | None,
        typer.Option(metavar="NAME|PATH", help="A second model that is compared and never published (model.shadow)."),
    ] = None,
    shadow_head: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="A second head of prompts that is compared and never published (prompts.shadow_head)."
        ),
    ] = None,
    device: Annotated[
        str | None, typer.Option(metavar="DEVICE", help="auto, cpu, cuda, cuda:1, … (model.device).")
    ] = None,
    detector: Annotated[
        str | None,
        typer.Option(metavar="NAME|SOURCE", help="auto, off, or a foundation model that detects (model.detector)."),
    ] = None,
    detector_labels: Annotated[
        str | None,
        typer.Option(metavar="LABELS", help="What a detector of an open vocabulary finds (model.detector_labels)."),
    ] = None,
    picture_space: Annotated[
        str | None,
        typer.Option(metavar="SOURCE", help="Foundation model of pictures and texts (model.picture_space)."),
    ] = None,
    sound_space: Annotated[
        str | None, typer.Option(metavar="SOURCE", help="Foundation model of sounds and texts (model.sound_space).")
    ] = None,
    overload: Annotated[
        OverloadChoice | None,
        typer.Option(
            "--overload",
            help="What to do when the worker cannot keep up: wait; degrade: show the model fewer frames; skip: "
            "degrade, then do not run the model (worker.overload).",
        ),
    ] = None,
    delivery: Annotated[
        str | None,
        typer.Option(metavar="MODE", help="at_least_once, or exactly_once with Kafka transactions (delivery)."),
    ] = None,
    window_ms: Annotated[int | None, typer.Option(metavar="MS", help="Window size (window.size_ms).")] = None,
    late: Annotated[
        LateChoice | None,
        typer.Option(help="What to do with items whose windows have closed (align.late)."),
    ] = None,
    allowed_lateness_ms: Annotated[
        int | None,
        typer.Option(metavar="MS", help="With --late revise: the allowed lateness (align.allowed_lateness_ms)."),
    ] = None,
    http_port: Annotated[
        int | None,
        typer.Option(
            metavar="PORT",
            help="Port of /metrics, /healthz and /readyz; 0: none (http.port). With --from and --until-end, a free "
            "port if that of the settings is in use.",
        ),
    ] = None,
    create_topics: Annotated[
        bool,
        typer.Option(
            "--create-topics", help="Create the pipeline's missing topics. Default: ask on a terminal, else refuse."
        ),
    ] = False,
    config: ConfigOption = None,
    bootstrap_servers: BootstrapServersOption = None,
    redis_url: RedisUrlOption = None,
    pipeline: PipelineOption = None,
) -> None:
    """Align video, audio and subtitles of all streams, run the model on each window, publish the results.

    Runs until SIGTERM or Ctrl-C, then publishes what is in flight, commits and exits with 0. SIGHUP, or a change of its
    file, reloads a trained model while the one in service continues.

    With --from, reprocesses a time range under the name of another pipeline. The same command continues after an
    interruption, and several workers may share the work. `triptych diff` compares the results.
    """
    from triptych.service.garbage import collect_rarely_until_frozen
    from triptych.service.process_tuning import tune_process

    tune_process()  # before anything imports OpenCV or PyTorch
    collect_rarely_until_frozen()
    from triptych.settings.loading import load
    from triptych.worker.run import work as run

    flags = {
        "model.name": model,
        "model.shadow": shadow,
        "prompts.shadow_head": shadow_head,
        "model.device": device,
        "model.detector": detector,
        "model.detector_labels": detector_labels,
        "model.picture_space": picture_space,
        "model.sound_space": sound_space,
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
        raise UsageError("--overload: expected no value or `wait` with --until-end and --from, which always wait")
    if from_ is not None:
        request = _range_request(from_, until, lead, partial=partial)
        if pipeline is None:
            raise UsageError("--from needs --pipeline NAME: the results are published under another pipeline name")
        if until_end:
            raise UsageError("--from exits by itself: leave out --until-end")
        settings = load(config, flags)
        live_pipeline = load(config, flags | {"pipeline": None}).pipeline
        if not settings.prompts.pipeline:
            settings = load(config, flags | {"prompts.pipeline": live_pipeline})
        provide_topics(settings, without_asking=create_topics)
        _reprocess(settings, request, live_pipeline, any_port=http_port is None)
        return
    if until is not None or lead is not None or partial:
        raise UsageError("--until, --lead and --partial need --from TIME")
    settings = load(config, flags)
    provide_topics(settings, without_asking=create_topics)
    report = run(settings, until_end=until_end, any_port=until_end and http_port is None)
    if until_end and report.open_streams:
        typer.echo(f"Still open, not published and not committed: {', '.join(report.open_streams)}", err=True)


def _range_request(since: str, until: str | None, lead: str | None, *, partial: bool) -> TimeRangeRequest:
    from triptych.worker.reprocessing.time_range import TimeRangeRequest
    from triptych.worker.reprocessing.times import parse_duration, parse_time

    return TimeRangeRequest(
        since=parse_time(since),
        until=None if until is None else parse_time(until),
        lead_ns=None if lead is None else parse_duration(lead),
        partial=partial,
    )


def provide_topics(settings: Settings, *, without_asking: bool) -> None:
    """Create the pipeline's missing topics, if that is wanted. The worker itself refuses to start without them."""
    import sys
    from contextlib import closing

    on_terminal = sys.stdin.isatty() and sys.stderr.isatty()
    if not (without_asking or on_terminal):
        return
    from triptych.transport.open import open_transport
    from triptych.transport.topics import create_missing, missing_topics

    with closing(open_transport(settings.kafka)) as transport:
        admin = transport.admin()
        missing = missing_topics(admin, settings.pipeline)
        if not missing:
            return
        question = f"Pipeline {settings.pipeline} has no topic {', '.join(missing)}. Create?"
        if without_asking or typer.confirm(question, default=True, err=True):
            for line in create_missing(admin, settings.pipeline, settings.kafka.max_record_bytes):
                typer.echo(line, err=True)


def _reprocess(settings: Settings, request: TimeRangeRequest, live_pipeline: str, *, any_port: bool) -> None:
    from triptych.worker.reprocessing.run import reprocess
    from triptych.worker.reprocessing.summary import summary_lines

    outcome = reprocess(settings, request, any_port=any_port)
    typer.echo(
        f"{settings.pipeline} reprocesses records that arrived from {outcome.time_range}: {_STATE_TEXTS[outcome.state]}"
    )
    if outcome.open_streams:
        typer.echo(
            f"Still open at the end of the time range, not published: {', '.join(outcome.open_streams)}", err=True
        )
    lines = summary_lines(outcome.summary, settings.pipeline, live_pipeline)
    for line in lines if outcome.state.startswith("done") else lines[:1]:
        typer.echo(line)
