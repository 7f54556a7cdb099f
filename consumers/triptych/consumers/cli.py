"""The commands of those who read results: `triptych watch`, `alert`, `evidence` and `diff`."""

from __future__ import annotations

import sys
from contextlib import ExitStack, closing
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from triptych.service.cli_options import BootstrapServersOption, ConfigOption, PipelineOption, RedisUrlOption


class From(StrEnum):
    """Where results can be read."""

    REDIS = "redis"
    KAFKA = "kafka"


class RevisionChoice(StrEnum):
    """Which results of a window that was issued again."""

    NEWEST = "newest"
    ALL = "all"


WhereOption = Annotated[
    str | None,
    typer.Option(metavar="RULE", help="Only results that fulfil a rule: \"speech > .5 and 'dog' in visual\"."),
]


def watch(
    stream: Annotated[str | None, typer.Argument(help="One stream; all of them if not given.")] = None,
    *,
    json: Annotated[
        bool, typer.Option("--json", help="One result a line, as published; so it is anyway without a terminal.")
    ] = False,
    since: Annotated[
        str | None,
        typer.Option(
            metavar="CURSOR|TIME",
            help="A cursor that an earlier watch gave, a moment of publication with its zone (2026-01-01T00:00:00Z), "
            "or now. All there is, if not given.",
        ),
    ] = None,
    where: WhereOption = None,
    revisions: Annotated[
        RevisionChoice,
        typer.Option(help="Of a window that was issued again: the newest that is known when its turn comes, or all."),
    ] = RevisionChoice.NEWEST,
    until_end: Annotated[bool, typer.Option("--until-end", help="Show what there is, then exit.")] = False,
    from_: Annotated[From, typer.Option("--from", help="Where to read the results.")] = From.REDIS,
    config: ConfigOption = None,
    bootstrap_servers: BootstrapServersOption = None,
    redis_url: RedisUrlOption = None,
    pipeline: PipelineOption = None,
) -> None:
    """Show results as they are published: a table on a terminal, JSON lines otherwise."""
    from triptych.consumers.watching.watch import Wanted, watch_results
    from triptych.settings.loading import load

    flags = {"kafka.bootstrap_servers": bootstrap_servers, "redis.url": redis_url, "pipeline": pipeline}
    watch_results(
        load(config, flags),
        from_.value,
        Wanted(stream, since, until_end, where, revisions.value),
        as_json=json or not sys.stdout.isatty(),
    )


def alert(
    stream: Annotated[str | None, typer.Argument(help="One stream; all of them if not given.")] = None,
    *,
    where: Annotated[
        str,
        typer.Option(metavar="RULE", help="What to alert to: \"speech > .5 and 'dog' in visual\".", show_default=False),
    ],
    url: Annotated[str, typer.Option(metavar="URL", help="Where to post each match.", show_default=False)],
    secret_file: Annotated[
        Path, typer.Option(metavar="FILE", help="Holds the secret that signs: whsec_ and base64.", show_default=False)
    ],
    cursor_file: Annotated[
        Path, typer.Option(metavar="FILE", help="Keeps how far was delivered; made if missing.", show_default=False)
    ],
    since: Annotated[
        str, typer.Option(metavar="CURSOR|TIME", help="Where to begin while there is no cursor file yet.")
    ] = "now",
    until_end: Annotated[bool, typer.Option("--until-end", help="Deliver what there is, then exit.")] = False,
    timeout: Annotated[float, typer.Option(min=0.1, metavar="S", help="How long an attempt may take.")] = 15.0,
    give_up_after: Annotated[
        float, typer.Option(min=0, metavar="S", help="How long a match is tried, before it is logged and left.")
    ] = 86_400.0,
    from_: Annotated[From, typer.Option("--from", help="Where to read the results.")] = From.REDIS,
    config: ConfigOption = None,
    bootstrap_servers: BootstrapServersOption = None,
    redis_url: RedisUrlOption = None,
    pipeline: PipelineOption = None,
) -> None:
    """Post results that fulfil a rule to a URL, signed, each once by its id."""
    from triptych.consumers.alerts.alert import Alerting, send_alerts
    from triptych.settings.loading import load

    flags = {"kafka.bootstrap_servers": bootstrap_servers, "redis.url": redis_url, "pipeline": pipeline}
    options = Alerting(
        where, url, secret_file, cursor_file, stream, since, until_end, timeout_s=timeout, give_up_after_s=give_up_after
    )
    send_alerts(load(config, flags), from_.value, options)


def evidence(
    result_id: Annotated[str, typer.Argument(metavar="RESULT_ID", help="STREAM/START-END/REVISION, as in the result.")],
    *,
    out: Annotated[Path, typer.Option(metavar="DIR", help="A folder, empty or new.", show_default=False)],
    from_: Annotated[From, typer.Option("--from", help="Where to read the result.")] = From.REDIS,
    config: ConfigOption = None,
    bootstrap_servers: BootstrapServersOption = None,
    redis_url: RedisUrlOption = None,
    pipeline: PipelineOption = None,
) -> None:
    """Fetch the very pictures, sound and words that a result rests on."""
    from triptych.consumers.evidence.evidence import EvidenceGoneError, find_case, gather
    from triptych.consumers.evidence.files import check_folder, write_evidence
    from triptych.consumers.subscription.subscriber import Subscriber
    from triptych.consumers.watching.watch import open_source
    from triptych.service.logs import configure_logs
    from triptych.settings.loading import load
    from triptych.transport.kafka.transport import KafkaTransport

    flags = {"kafka.bootstrap_servers": bootstrap_servers, "redis.url": redis_url, "pipeline": pipeline}
    settings = load(config, flags)
    configure_logs(settings.log)
    check_folder(out)
    with Subscriber(open_source(settings, from_.value)) as subscriber:
        case = find_case(subscriber, result_id)
    with closing(KafkaTransport(settings.kafka)) as transport:
        gathered = gather(transport, case)
    write_evidence(out, case.delivery, gathered)
    for found in gathered:
        count = len(found.exhibits)
        typer.echo(f"{found.modality}: {found.report.state}, {count} record{'' if count == 1 else 's'}")
    missing = "; ".join(f"{found.modality}: {found.missing}" for found in gathered if found.missing)
    if missing:
        raise EvidenceGoneError(missing)


def diff(
    left: Annotated[str, typer.Argument(metavar="PIPELINE", help="One pipeline.")],
    right: Annotated[str, typer.Argument(metavar="PIPELINE", help="The other one.")],
    stream: Annotated[str | None, typer.Argument(help="One stream; all of them if not given.")] = None,
    *,
    tolerance: Annotated[float, typer.Option(min=0, help="How far apart equal numbers may be.")] = 1e-4,
    from_: Annotated[From, typer.Option("--from", help="Where to read the results.")] = From.KAFKA,
    config: ConfigOption = None,
    bootstrap_servers: BootstrapServersOption = None,
    redis_url: RedisUrlOption = None,
) -> None:
    """Compare what two pipelines say of the same windows; exit 1 where they differ."""
    from triptych.consumers.comparison.compare import compare
    from triptych.consumers.comparison.text import comparison_lines
    from triptych.consumers.subscription.subscriber import Subscriber
    from triptych.consumers.watching.watch import open_source
    from triptych.service.logs import configure_logs
    from triptych.settings.loading import load

    flags = {"kafka.bootstrap_servers": bootstrap_servers, "redis.url": redis_url}
    pipelines = [load(config, flags | {"pipeline": name}) for name in (left, right)]
    configure_logs(pipelines[0].log)
    with ExitStack() as stack:
        results = [
            stack.enter_context(Subscriber(open_source(settings, from_.value))).results(
                stream, until_end=True, revisions="all"
            )
            for settings in pipelines
        ]
        outcome = compare(*(each.deliveries() for each in results), tolerance=tolerance)
    for line in comparison_lines(outcome, left, right):
        typer.echo(line)
    if not outcome.equal:
        raise typer.Exit(1)
