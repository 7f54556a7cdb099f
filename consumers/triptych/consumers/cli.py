"""The commands for consumers of results: `triptych watch`, `alert`, `evidence` and `diff`."""

from __future__ import annotations

import sys
from contextlib import ExitStack, closing
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from triptych.service.cli_options import BootstrapServersOption, ConfigOption, PipelineOption, RedisUrlOption

if TYPE_CHECKING:
    from triptych.settings.tree import Settings


class SourceChoice(StrEnum):
    """Where to read results."""

    REDIS = "redis"
    KAFKA = "kafka"


class RevisionChoice(StrEnum):
    """Which results of a revised window to show."""

    NEWEST = "newest"
    ALL = "all"


WhereOption = Annotated[
    str | None,
    typer.Option(metavar="RULE", help="Only results that match a rule: \"speech > .5 and 'dog' in visual\"."),
]


def watch(
    stream: Annotated[str | None, typer.Argument(help="One stream. Default: all streams.")] = None,
    *,
    json: Annotated[
        bool, typer.Option("--json", help="One result per line, as published. Default without a terminal.")
    ] = False,
    since: Annotated[
        str | None,
        typer.Option(
            metavar="CURSOR|TIME",
            help="Where to start: a cursor of an earlier watch, a publication time with its zone "
            "(2026-01-01T00:00:00Z), or now. Default: everything that is kept.",
        ),
    ] = None,
    where: WhereOption = None,
    revisions: Annotated[
        RevisionChoice,
        typer.Option(help="Of a revised window: the newest revision known when its turn comes, or all."),
    ] = RevisionChoice.NEWEST,
    until_end: Annotated[bool, typer.Option("--until-end", help="Exit after the last result that exists now.")] = False,
    descriptions: Annotated[
        bool,
        typer.Option("--descriptions", help="Show what `triptych describe` has published, from Kafka, instead."),
    ] = False,
    from_: Annotated[SourceChoice, typer.Option("--from", help="Where to read the results.")] = SourceChoice.REDIS,
    config: ConfigOption = None,
    bootstrap_servers: BootstrapServersOption = None,
    redis_url: RedisUrlOption = None,
    pipeline: PipelineOption = None,
) -> None:
    """Show results as they are published: a table on a terminal, JSON lines otherwise."""
    from triptych.consumers.watching.watch import WatchOptions, watch_results

    settings = _load(config, bootstrap_servers, redis_url, pipeline)
    options = WatchOptions(stream, since, until_end, where, revisions.value)
    as_json = json or not sys.stdout.isatty()
    if descriptions:
        from triptych.consumers.watching.watch_descriptions import watch_descriptions

        watch_descriptions(settings, options, as_json=as_json)
    else:
        watch_results(settings, from_.value, options, as_json=as_json)


def alert(
    stream: Annotated[str | None, typer.Argument(help="One stream. Default: all streams.")] = None,
    *,
    where: Annotated[
        str,
        typer.Option(metavar="RULE", help="What to alert on: \"speech > .5 and 'dog' in visual\".", show_default=False),
    ],
    cursor_file: Annotated[
        Path,
        typer.Option(
            metavar="FILE",
            help="Stores the progress; created if missing. Each further URL has FILE.HASH.",
            show_default=False,
        ),
    ],
    url: Annotated[
        list[str] | None,
        typer.Option(metavar="URL", help="Where to post each match; repeatable: none waits for another."),
    ] = None,
    secret_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The signing secret for --url: whsec_ and base64.")
    ] = None,
    mqtt: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="An MQTT broker, mqtt://HOST:1883/TOPIC or mqtts://…: publishes each match, and a sensor for each "
            "feed, which Home Assistant discovers. Login and TLS: settings mqtt.*.",
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option(metavar="TEXT", help="With --mqtt: the sensor's name. Default: the rule.")
    ] = None,
    prompts: Annotated[
        float | None,
        typer.Option(
            min=0, max=1, metavar="SCORE", help="With --mqtt: a sensor for each prompt too, on from this score."
        ),
    ] = None,
    people: Annotated[
        bool, typer.Option("--people", help="With --mqtt: a sensor for the number of people too.")
    ] = False,
    hold: Annotated[
        str | None,
        typer.Option(
            metavar="DURATION",
            help="Alert once when the rule has held for this long in the feed (5s, 2m), not for each window.",
        ),
    ] = None,
    cool_down: Annotated[
        str | None,
        typer.Option(
            metavar="DURATION", help="After such an event, alert on no other one of its stream for this long."
        ),
    ] = None,
    since: Annotated[
        str, typer.Option(metavar="CURSOR|TIME", help="Where to start if there is no cursor file yet.")
    ] = "now",
    until_end: Annotated[bool, typer.Option("--until-end", help="Exit after the last result that exists now.")] = False,
    timeout: Annotated[float, typer.Option(min=0.1, metavar="S", help="The timeout of one whole attempt.")] = 15.0,
    give_up_after: Annotated[
        float,
        typer.Option(min=0, metavar="S", help="Retry a match this long, then log and drop it."),
    ] = 86_400.0,
    from_: Annotated[SourceChoice, typer.Option("--from", help="Where to read the results.")] = SourceChoice.REDIS,
    config: ConfigOption = None,
    bootstrap_servers: BootstrapServersOption = None,
    redis_url: RedisUrlOption = None,
    pipeline: PipelineOption = None,
) -> None:
    """Send results that match a rule to webhooks or an MQTT broker: in order, at least once with a stable id."""
    from triptych.consumers.alerts.alert import AlertOptions, for_each_receiver, send_alerts
    from triptych.consumers.alerts.event_tracker import EventLimits
    from triptych.consumers.alerts.mqtt.address import MqttAddress
    from triptych.consumers.alerts.mqtt.options import MqttOptions
    from triptych.consumers.subscription.since import duration_ns

    options = AlertOptions(
        where,
        "",
        secret_file,
        cursor_file,
        stream,
        since,
        until_end,
        timeout,
        give_up_after_s=give_up_after,
        events=EventLimits(duration_ns(hold, "--hold"), duration_ns(cool_down, "--cool-down")),
    )
    brokers = [] if mqtt is None else [MqttOptions(MqttAddress.parse(mqtt), name, prompts, people)]
    receivers = for_each_receiver(options, url or [], brokers)
    send_alerts(_load(config, bootstrap_servers, redis_url, pipeline), from_.value, receivers)


def evidence(
    result_id: Annotated[str, typer.Argument(metavar="RESULT_ID", help="STREAM/START-END/REVISION, as in the result.")],
    *,
    out: Annotated[Path, typer.Option(metavar="DIR", help="A new or empty folder.", show_default=False)],
    from_: Annotated[SourceChoice, typer.Option("--from", help="Where to read the result.")] = SourceChoice.REDIS,
    config: ConfigOption = None,
    bootstrap_servers: BootstrapServersOption = None,
    redis_url: RedisUrlOption = None,
    pipeline: PipelineOption = None,
) -> None:
    """Fetch the frames, audio and cues behind a result."""
    from triptych.consumers.evidence.evidence import EvidenceGoneError, find_evidence, gather_evidence
    from triptych.consumers.evidence.files import check_folder, write_evidence
    from triptych.consumers.subscription.subscriber import Subscriber
    from triptych.consumers.watching.watch import open_source
    from triptych.service.logs import configure_logs
    from triptych.transport.open import open_transport

    settings = _load(config, bootstrap_servers, redis_url, pipeline)
    configure_logs(settings.log)
    check_folder(out)
    with Subscriber(open_source(settings, from_.value)) as subscriber:
        request = find_evidence(subscriber, result_id)
    with closing(open_transport(settings.kafka)) as transport:
        gathered = gather_evidence(transport, request)
    write_evidence(out, request.delivery, gathered)
    for found in gathered:
        count = len(found.items)
        typer.echo(f"{found.modality}: {found.report.state}, {count} record{'' if count == 1 else 's'}")
    missing = "; ".join(f"{found.modality}: {found.missing}" for found in gathered if found.missing)
    if missing:
        raise EvidenceGoneError(missing)


def diff(
    left: Annotated[str, typer.Argument(metavar="PIPELINE", help="One pipeline.")],
    right: Annotated[str, typer.Argument(metavar="PIPELINE", help="The other pipeline.")],
    stream: Annotated[str | None, typer.Argument(help="One stream. Default: all streams.")] = None,
    *,
    tolerance: Annotated[float, typer.Option(min=0, help="The largest difference of equal numbers.")] = 1e-4,
    from_: Annotated[SourceChoice, typer.Option("--from", help="Where to read the results.")] = SourceChoice.KAFKA,
    config: ConfigOption = None,
    bootstrap_servers: BootstrapServersOption = None,
    redis_url: RedisUrlOption = None,
) -> None:
    """Compare the results of two pipelines, of each window its last revision. Exit code 1 if they differ."""
    from triptych.consumers.comparison.compare import compare
    from triptych.consumers.comparison.text import comparison_lines
    from triptych.consumers.subscription.last_revisions import last_revisions
    from triptych.consumers.subscription.subscriber import Subscriber
    from triptych.consumers.watching.watch import open_source
    from triptych.service.logs import configure_logs

    pipelines = [_load(config, bootstrap_servers, redis_url, name) for name in (left, right)]
    configure_logs(pipelines[0].log)
    with ExitStack() as stack:
        subscribers = [stack.enter_context(Subscriber(open_source(settings, from_.value))) for settings in pipelines]
        left_results, right_results = (last_revisions(subscriber, stream) for subscriber in subscribers)
        outcome = compare(left_results, right_results, tolerance=tolerance)
    for line in comparison_lines(outcome, left, right):
        typer.echo(line)
    if not outcome.equal:
        raise typer.Exit(1)


def _load(config: Path | None, bootstrap_servers: str | None, redis_url: str | None, pipeline: str | None) -> Settings:
    from triptych.settings.loading import load

    flags = {"kafka.bootstrap_servers": bootstrap_servers, "redis.url": redis_url, "pipeline": pipeline}
    return load(config, flags)
