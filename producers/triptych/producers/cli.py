"""The command `triptych produce`. Imports what is heavy when it runs."""

from __future__ import annotations

from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from triptych.service.cli_options import BootstrapServersOption, ConfigOption, PipelineOption

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from threading import Event

    from triptych.producers.sources.playback_plan import PlaybackPlan
    from triptych.producers.status.metrics import MonitoredDisplay
    from triptych.producers.status.outcome import SourceOutcome
    from triptych.producers.status.progress import ProgressLog, ProgressTable
    from triptych.settings.tree import Settings
    from triptych.transport.protocols import Transport


def produce(
    sources: Annotated[
        list[str] | None,
        typer.Argument(metavar="SOURCE…", help="Media files, or URLs that FFmpeg opens, played at the same time."),
    ] = None,
    *,
    feeds: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Play what this TOML file lists instead, and follow its changes."),
    ] = None,
    stream: Annotated[
        str | None, typer.Option(metavar="ID", help="Id of the stream; else made from the file's name.")
    ] = None,
    fps: Annotated[
        str, typer.Option(metavar="RATE", help="Frames sent for each second, at most: 4, 0.5, 30000/1001.")
    ] = "4",
    height: Annotated[int, typer.Option(min=16, max=8_192, help="Height to which larger pictures are scaled.")] = 360,
    quality: Annotated[int, typer.Option(min=1, max=100, help="Quality of the JPEG images.")] = 85,
    realtime: Annotated[
        bool, typer.Option("--realtime/--fast", help="As fast as the film runs, or as fast as the broker takes it.")
    ] = False,
    loop: Annotated[int, typer.Option(min=0, metavar="N", help="Play N times as one session; 0 for ever.")] = 1,
    start_at: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="When the film begins, as 2026-01-01T00:00:00Z; else now, or with --fast so that it ends now.",
        ),
    ] = None,
    subtitles: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Cues (.srt .vtt .ass) instead of those in or beside the film.")
    ] = None,
    language: Annotated[
        str | None, typer.Option(metavar="TAG", help="Language of the subtitles where there are several; else eng.")
    ] = None,
    transcribe: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help="Hear the words of what has no subtitles: whisper-tiny.en (English) or whisper-base "
            "(any language; that of --language, else recognised).",
        ),
    ] = None,
    config: ConfigOption = None,
    bootstrap_servers: BootstrapServersOption = None,
    pipeline: PipelineOption = None,
) -> None:
    """Play media files and live feeds into Kafka: pictures, sound and words as streams.

    Runs until all files are played, or until Ctrl-C or SIGTERM, and ends every stream properly. A broken file is played
    as far as it can be read; a feed that is lost is opened again and again.
    """
    from triptych.producers.plans import SourceOptions, plans_for
    from triptych.schemas.errors import UsageError
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
        language=language,
        transcribe=transcribe,
    )
    settings = load(config, {"kafka.bootstrap_servers": bootstrap_servers, "pipeline": pipeline})
    if feeds is not None:
        if sources:
            raise UsageError("expected sources or --feeds, got both: list all of them in the file")
        _follow(feeds, settings)
        return
    if not sources:
        raise UsageError("expected a file, a URL or --feeds FILE: nothing says what to play")
    failed = [outcome for outcome in _play(plans_for(sources, options), settings) if outcome.error is not None]
    for outcome in failed:
        typer.echo(f"triptych: {outcome.error}", err=True)
    if failed:
        raise typer.Exit(max(outcome.exit_code for outcome in failed))


def _play(plans: Sequence[PlaybackPlan], settings: Settings) -> Sequence[SourceOutcome]:
    from triptych.producers.run import check_playable, produce_all
    from triptych.service.logs import configure_logs

    configure_logs(settings.log)
    check_playable(plans)
    with _stage(settings) as stage:
        return produce_all(plans, stage.transport, stop=stage.stop, display=stage.display)


def _follow(feeds: Path, settings: Settings) -> None:
    from triptych.producers.feeds.feeds_file import read_feeds
    from triptych.producers.feeds.supervisor import produce_feeds
    from triptych.service.logs import configure_logs

    configure_logs(settings.log)
    read_feeds(feeds)  # a mistake in it is found before anything is connected
    with _stage(settings) as stage:
        produce_feeds(feeds, stage.transport, stop=stage.stop, display=stage.display)


class _Stage(NamedTuple):
    transport: Transport
    stop: Event
    display: ProgressTable | ProgressLog | MonitoredDisplay


@contextmanager
def _stage(settings: Settings) -> Iterator[_Stage]:
    """Connect, and show how the sources stand until the end or a signal."""
    import time

    from rich.console import Console

    from triptych.producers.status.progress import ProgressLog, ProgressTable
    from triptych.service.signals import stop_on_signal
    from triptych.transport.kafka.transport import KafkaTransport
    from triptych.transport.topics import check_topics

    console = Console(stderr=True)
    display = ProgressTable(console, time.monotonic_ns) if console.is_terminal else ProgressLog(time.monotonic_ns)
    with closing(KafkaTransport(settings.kafka)) as transport, stop_on_signal() as stop:
        check_topics(transport, settings.pipeline, settings.kafka.max_record_bytes)
        with _monitored(display, settings) as shown:
            yield _Stage(transport, stop, shown)


@contextmanager
def _monitored(
    display: ProgressTable | ProgressLog, settings: Settings
) -> Iterator[ProgressTable | ProgressLog | MonitoredDisplay]:
    """Serve metrics and health of what the board shows, where the settings say so."""
    if not settings.produce_http.port:
        yield display
        return
    from triptych.producers.status.metrics import STARTING, FeedMetrics, MonitoredDisplay
    from triptych.service.health import Health
    from triptych.service.status import StatusServer

    metrics, health = FeedMetrics(), Health("producer", starting=STARTING)
    with StatusServer.of(settings.produce_http, metrics.registry, health):
        yield MonitoredDisplay(display, metrics, health)
