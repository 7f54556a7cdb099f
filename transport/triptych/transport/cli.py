"""The commands `triptych topics create` and `triptych topics check`. Imports the client when it runs."""

from __future__ import annotations

from typing import Annotated

import typer

from triptych.service.cli_options import BootstrapServersOption, ConfigOption, PipelineOption

app = typer.Typer(help="Make and check the topics that a pipeline reads and writes.", no_args_is_help=True)

MaxRecordBytesOption = Annotated[
    int | None,
    typer.Option("--max-record-bytes", metavar="BYTES", help="The largest record (kafka.max_record_bytes)."),
]


@app.command()
def create(
    *,
    partitions: Annotated[
        int | None, typer.Option(min=1, max=10_000, help="The same for all topics; else as many as there are, or 6.")
    ] = None,
    replication: Annotated[
        int | None, typer.Option(min=1, max=100, help="Copies of each partition; else the broker's own default.")
    ] = None,
    retention: Annotated[
        str, typer.Option(metavar="DURATION", help="How long new topics keep records: 90s, 30m, 12h, 7d, forever.")
    ] = "7d",
    max_record_bytes: MaxRecordBytesOption = None,
    config: ConfigOption = None,
    bootstrap_servers: BootstrapServersOption = None,
    pipeline: PipelineOption = None,
) -> None:
    """Make the topics that are missing, and mend the settings of the others.

    Records and numbers of partitions of existing topics are left alone.
    """
    from contextlib import closing

    from triptych.settings.loading import load
    from triptych.transport.kafka.transport import KafkaTransport
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
    with closing(KafkaTransport(settings.kafka)) as transport:
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
    """Say what is wrong with the topics and which command mends it; exit code 2 if anything is."""
    from contextlib import closing

    from triptych.settings.loading import load
    from triptych.transport.kafka.transport import KafkaTransport
    from triptych.transport.topics import check_topics, pipeline_topics

    flags = {
        "kafka.bootstrap_servers": bootstrap_servers,
        "kafka.max_record_bytes": max_record_bytes,
        "pipeline": pipeline,
    }
    settings = load(config, flags)
    with closing(KafkaTransport(settings.kafka)) as transport:
        check_topics(transport, settings.pipeline, settings.kafka.max_record_bytes)
    typer.echo(f"all {len(pipeline_topics(settings.pipeline))} topics are as they should be")
