"""The commands `triptych topics create`, `check` and `grow`. They import the client when they run."""

from __future__ import annotations

from typing import Annotated

import typer

from triptych.service.cli_options import BootstrapServersOption, ConfigOption, PipelineOption

app = typer.Typer(
    help="Create, check and grow the topics that a pipeline reads and writes.",
    no_args_is_help=True,
    add_completion=False,
)

MaxRecordBytesOption = Annotated[
    int | None,
    typer.Option("--max-record-bytes", metavar="BYTES", help="The largest record (kafka.max_record_bytes)."),
]


@app.command()
def create(
    *,
    partitions: Annotated[
        int | None,
        typer.Option(min=1, max=10_000, help="Partitions per topic. Default: as existing topics have, or 6."),
    ] = None,
    replication: Annotated[
        int | None, typer.Option(min=1, max=100, help="Replicas of each partition. Default: the broker's.")
    ] = None,
    retention: Annotated[
        str, typer.Option(metavar="DURATION", help="How long new topics keep records: 90s, 30m, 12h, 7d, forever.")
    ] = "7d",
    max_record_bytes: MaxRecordBytesOption = None,
    config: ConfigOption = None,
    bootstrap_servers: BootstrapServersOption = None,
    pipeline: PipelineOption = None,
) -> None:
    """Create the missing topics, and fix the settings of the others.

    Records and partition counts of existing topics are not changed.
    """
    from contextlib import closing

    from triptych.settings.loading import load
    from triptych.transport.open import open_transport
    from triptych.transport.retention import retention_ms
    from triptych.transport.topic_settings import BROKER_REPLICATION, TopicSettings
    from triptych.transport.topics import check_topics, create_topics, usual_partitions

    flags = {
        "kafka.bootstrap_servers": bootstrap_servers,
        "kafka.max_record_bytes": max_record_bytes,
        "pipeline": pipeline,
    }
    settings = load(config, flags)
    kept_ms = retention_ms(retention)
    with closing(open_transport(settings.kafka)) as transport:
        admin = transport.admin()
        like = TopicSettings(
            settings.pipeline,
            partitions or usual_partitions(admin, settings.pipeline),
            replication or BROKER_REPLICATION,
            kept_ms,
            settings.kafka.max_record_bytes,
        )
        done = create_topics(admin, settings.pipeline, like)
        typer.echo("\n".join(done or ["nothing to do"]))
        check_topics(transport, settings.pipeline, settings.kafka.max_record_bytes)


@app.command()
def check(
    *,
    max_record_bytes: MaxRecordBytesOption = None,
    config: ConfigOption = None,
    bootstrap_servers: BootstrapServersOption = None,
    pipeline: PipelineOption = None,
) -> None:
    """Report wrong settings of the topics and the commands that fix them; exit code 2 if there are any."""
    from contextlib import closing

    from triptych.settings.loading import load
    from triptych.transport.open import open_transport
    from triptych.transport.topics import check_topics, existing_topics

    flags = {
        "kafka.bootstrap_servers": bootstrap_servers,
        "kafka.max_record_bytes": max_record_bytes,
        "pipeline": pipeline,
    }
    settings = load(config, flags)
    with closing(open_transport(settings.kafka)) as transport:
        names = existing_topics(transport.admin(), settings.pipeline)
        check_topics(transport, settings.pipeline, settings.kafka.max_record_bytes, names=names)
    typer.echo(f"all {len(names)} topics have the required settings")


@app.command()
def grow(
    *,
    partitions: Annotated[
        int, typer.Option(min=1, max=10_000, help="Partitions of each topic after the growth.", show_default=False)
    ],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Look, and print what would be done. Change nothing.")
    ] = False,
    backlog: Annotated[
        bool,
        typer.Option("--backlog", help="Do not wait until workers have published all windows of what was sent before."),
    ] = False,
    timeout: Annotated[float, typer.Option(min=0, metavar="S", help="How long to wait for the workers.")] = 300.0,
    config: ConfigOption = None,
    bootstrap_servers: BootstrapServersOption = None,
    pipeline: PipelineOption = None,
) -> None:
    """Add partitions to the topics of all pipelines. Stop the producers first; workers may run.

    Streams move to other partitions by it, so it refuses (exit code 2) while records arrive, and waits until the
    workers have published what was sent before. See docs/growing-topics.md.
    """
    from contextlib import closing

    from triptych.service.logs import configure_logs
    from triptych.settings.loading import load
    from triptych.transport.growing.drain import DrainRules
    from triptych.transport.growing.grow import GrowthTimes, TopicGrower
    from triptych.transport.open import open_transport
    from triptych.units import NS_PER_MS

    settings = load(config, {"kafka.bootstrap_servers": bootstrap_servers, "pipeline": pipeline})
    configure_logs(settings.log)
    align = settings.align
    times = GrowthTimes(
        # A segment of HLS comes as a burst of up to 10 s, which is the default of the idle timeout as well.
        quiet_s=align.idle_timeout_ms / 1_000 + 2,
        drain_s=timeout,
        rules=DrainRules(align.stream_ttl_ms * NS_PER_MS, align.max_future_ms * NS_PER_MS, settings.window.size_ns),
    )
    with closing(open_transport(settings.kafka)) as transport:
        grower = TopicGrower(transport, times, typer.echo)
        plan = grower.plan(settings.pipeline, partitions)
        if plan.steps:
            grower.grow(plan, drained=not backlog, dry_run=dry_run)
        else:
            typer.echo(f"nothing to do: all {len(plan.counts)} topics have {partitions} partitions")
