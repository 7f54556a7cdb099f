"""The command `triptych produce`. Imports what is heavy when it runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from triptych.options import BootstrapServersOption, ConfigOption, PipelineOption

if TYPE_CHECKING:
    from collections.abc import Sequence

    from triptych.producers.outcome import Outcome
    from triptych.producers.plan import Plan
    from triptych.settings import Settings


def produce(
    sources: Annotated[list[str], typer.Argument(metavar="SOURCE…", help="Media files, played at the same time.")],
    *,
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
    config: ConfigOption = None,
    bootstrap_servers: BootstrapServersOption = None,
    pipeline: PipelineOption = None,
) -> None:
    """Play media files into Kafka: pictures, sound and words as streams.

    Runs until all files are played, or until Ctrl-C or SIGTERM, and ends every stream properly. A broken file is played
    as far as it can be read.
    """
    from triptych.producers.planning import Wishes, plans_for
    from triptych.settings import load

    wishes = Wishes(
        stream=stream,
        fps=fps,
        height=height,
        quality=quality,
        realtime=realtime,
        loops=loop,
        start_at=start_at,
        subtitles=subtitles,
        language=language,
    )
    settings = load(config, {"kafka.bootstrap_servers": bootstrap_servers, "pipeline": pipeline})
    failed = [outcome for outcome in _play(plans_for(sources, wishes), settings) if outcome.error is not None]
    for outcome in failed:
        typer.echo(f"triptych: {outcome.error}", err=True)
    if failed:
        raise typer.Exit(max(outcome.exit_code for outcome in failed))


def _play(plans: Sequence[Plan], settings: Settings) -> Sequence[Outcome]:
    import time
    from contextlib import closing

    from rich.console import Console

    from triptych.logs import configure_logs
    from triptych.producers.progress import LogBoard, TableBoard
    from triptych.producers.run import check_playable, produce_all
    from triptych.signals import stop_on_signal
    from triptych.transport.kafka import KafkaTransport
    from triptych.transport.topics import check_topics

    configure_logs(settings.log)
    check_playable(plans)
    console = Console(stderr=True)
    board = TableBoard(console, time.monotonic_ns) if console.is_terminal else LogBoard(time.monotonic_ns)
    with closing(KafkaTransport(settings.kafka)) as transport, stop_on_signal() as stop:
        check_topics(transport, settings.pipeline, settings.kafka.max_record_bytes)
        return produce_all(plans, transport, stop=stop, board=board)
