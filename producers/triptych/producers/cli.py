"""The command `triptych produce`. Heavy modules are imported when it runs."""

from __future__ import annotations

from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import typer

from triptych.producers.produce_options import (
    FeedsOption,
    FpsOption,
    HeightOption,
    LanguageOption,
    LoopOption,
    QualityOption,
    RealtimeOption,
    SourcesArgument,
    StartAtOption,
    StreamOption,
    SubtitleEncodingOption,
    SubtitlesOption,
    TranscribeOption,
)
from triptych.service.cli_options import BootstrapServersOption, ConfigOption, PipelineOption

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from threading import Event

    from triptych.producers.plans import SourceOptions
    from triptych.producers.sending.record_tracer import RecordTracer
    from triptych.producers.sources.playback_plan import PlaybackPlan
    from triptych.producers.status.metrics import MonitoredDisplay
    from triptych.producers.status.outcome import SourceOutcome
    from triptych.producers.status.progress import ProgressLog, ProgressTable
    from triptych.settings.tree import Settings
    from triptych.transport.protocols import Transport


def produce(
    sources: SourcesArgument = None,
    *,
    feeds: FeedsOption = None,
    stream: StreamOption = None,
    fps: FpsOption = "4",
    height: HeightOption = 360,
    quality: QualityOption = 85,
    realtime: RealtimeOption = False,
    loop: LoopOption = 1,
    start_at: StartAtOption = None,
    subtitles: SubtitlesOption = None,
    subtitle_encoding: SubtitleEncodingOption = None,
    language: LanguageOption = None,
    transcribe: TranscribeOption = None,
    config: ConfigOption = None,
    bootstrap_servers: BootstrapServersOption = None,
    pipeline: PipelineOption = None,
) -> None:
    """Play media files and live feeds into Kafka, as streams of video, audio and text.

    List feeds whose URLs have a password in a file (--feeds FILE): arguments stand in the process list for all to read.

    Runs until all files are played, or until Ctrl-C or SIGTERM, and then ends every stream. A damaged file is played as
    far as it can be read. A lost feed is opened again and again.
    """
    from triptych.producers.plans import SourceOptions
    from triptych.settings.loading import load

    options = SourceOptions(
        stream=stream,
        fps=fps,
        height=height,
        quality=quality,
        realtime=realtime,
        loops=loop,
        start_at=start_at,
        subtitles=subtitles,
        subtitle_encoding=subtitle_encoding,
        language=language,
        transcribe=transcribe,
    )
    settings = load(config, {"kafka.bootstrap_servers": bootstrap_servers, "pipeline": pipeline})
    _run(sources or [], feeds, options, settings)


def _run(sources: Sequence[str], feeds: Path | None, options: SourceOptions, settings: Settings) -> None:
    from triptych.producers.plans import plans_for
    from triptych.schemas.errors import UsageError

    if feeds is not None:
        if sources:
            raise UsageError("expected sources or --feeds, got both; list all sources in the file")
        _follow(feeds, settings)
        return
    if not sources:
        raise UsageError("expected a file, a URL or --feeds FILE, got nothing to play")
    _warn_of_visible_credentials(sources)
    failed = [outcome for outcome in _play(plans_for(sources, options), settings) if outcome.error is not None]
    for outcome in failed:
        typer.echo(f"triptych: {outcome.error}", err=True)
    if failed:
        raise typer.Exit(max(outcome.exit_code for outcome in failed))


def _warn_of_visible_credentials(sources: Sequence[str]) -> None:
    """Say once that a password on the command line can be read by others."""
    from triptych.producers.sources.credentials import has_credentials

    exposed = sum(map(has_credentials, sources))
    if exposed:
        typer.echo(
            f"triptych: {exposed} of the URLs on the command line have credentials, which other users of this machine "
            "can read in the process list; --feeds FILE keeps them in a file",
            err=True,
        )


def _play(plans: Sequence[PlaybackPlan], settings: Settings) -> Sequence[SourceOutcome]:
    from triptych.producers.run import check_playable, produce_all
    from triptych.producers.sending.limits import SendLimits
    from triptych.service.logs import configure_logs

    configure_logs(settings.log)
    check_playable(plans)
    limits = SendLimits.from_settings(settings)
    with _connect(settings) as connected:
        return produce_all(
            plans,
            connected.transport,
            stop=connected.stop,
            display=connected.display,
            limits=limits,
            tracer=connected.tracer,
        )


def _follow(feeds: Path, settings: Settings) -> None:
    from triptych.producers.feeds.feeds_file import read_feeds
    from triptych.producers.feeds.supervisor import produce_feeds
    from triptych.producers.sending.limits import SendLimits
    from triptych.service.logs import configure_logs

    configure_logs(settings.log)
    read_feeds(feeds)  # report mistakes before connecting
    limits = SendLimits.from_settings(settings)
    with _connect(settings) as connected:
        produce_feeds(
            feeds,
            connected.transport,
            stop=connected.stop,
            display=connected.display,
            limits=limits,
            tracer=connected.tracer,
        )


class _Connected(NamedTuple):
    transport: Transport
    stop: Event
    display: ProgressTable | ProgressLog | MonitoredDisplay
    tracer: RecordTracer | None


@contextmanager
def _connect(settings: Settings) -> Iterator[_Connected]:
    """Connect to the broker, and show the progress until the end or a signal."""
    import time

    from rich.console import Console

    from triptych.producers.sending.record_tracer import open_tracer
    from triptych.producers.status.progress import ProgressLog, ProgressTable
    from triptych.schemas.names import INPUT_TOPICS
    from triptych.service.signals import stop_on_signal
    from triptych.transport.open import open_transport
    from triptych.transport.topics import check_topics

    console = Console(stderr=True)
    display = ProgressTable(console, time.monotonic_ns) if console.is_terminal else ProgressLog(time.monotonic_ns)
    with closing(open_transport(settings.kafka)) as transport, stop_on_signal() as stop:
        # The topics of results and dead letters belong to the worker, which may be installed elsewhere or later.
        check_topics(transport, settings.pipeline, settings.kafka.max_record_bytes, names=INPUT_TOPICS)
        with _monitored(display, settings) as shown, open_tracer(settings.trace) as tracer:
            yield _Connected(transport, stop, shown, tracer)


@contextmanager
def _monitored(
    display: ProgressTable | ProgressLog, settings: Settings
) -> Iterator[ProgressTable | ProgressLog | MonitoredDisplay]:
    """Serve metrics and health checks of what the display shows, where the settings say so."""
    if not settings.produce_http.port:
        yield display
        return
    from triptych.producers.status.metrics import STARTING, FeedMetrics, MonitoredDisplay
    from triptych.producers.status.named_feeds import NamedFeeds
    from triptych.service.health import Health
    from triptych.service.status import StatusServer

    http = settings.produce_http
    named = NamedFeeds(most=http.max_named_feeds, always=http.always_named_feeds)
    metrics, health = FeedMetrics(named), Health("producer", starting=STARTING)
    with StatusServer.from_settings(settings.produce_http, metrics.registry, health):
        yield MonitoredDisplay(display, metrics, health)
