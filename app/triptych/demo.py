"""The command `triptych demo`: sample clips through producers, topics, a worker and a result store to a subscriber.

Everything runs in this process and in memory, without a server. `--kafka` uses the Kafka and Redis of the settings. The
parts are the same that `produce`, `work` and `watch` run; with `--page` those that `page` runs, too.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.console import Console
from rich.live import Live
from rich.table import Table

from triptych.demo_parts import DemoParts, parts_in_memory, parts_on_servers, play_clips
from triptych.schemas.errors import TriptychError, UsageError
from triptych.service.cli_options import BootstrapServersOption, ConfigOption, PipelineOption, RedisUrlOption

if TYPE_CHECKING:
    from triptych.producers.status.outcome import SourceOutcome
    from triptych.schemas.results import Result
    from triptych.worker.pipeline import Pipeline

SAMPLES: Final = ("librivox_city_15s.mkv", "bbb_5s_51ch.mp4", "sintel_608_10s.ts")


class DemoError(TriptychError):
    """Raised where the demo does not show the expected results."""


def demo(
    *,
    kafka: Annotated[
        bool, typer.Option("--kafka", help="Use the Kafka and Redis of the settings. Both must run, also for --page.")
    ] = False,
    realtime: Annotated[
        bool | None,
        typer.Option(
            "--realtime/--fast",
            help="Play the clips at their own speed, or as fast as possible. [default: --fast; with --page --realtime]",
            show_default=False,
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(metavar="NAME|PATH", help="base, content, null (no model), or a trained model."),
    ] = None,
    page: Annotated[
        bool, typer.Option("--page", help="Play the clips again and again, and show them in a browser until Ctrl-C.")
    ] = False,
    ask: Annotated[
        bool, typer.Option("--ask", help="Index the results in a temporary folder, and answer three questions.")
    ] = False,
    config: ConfigOption = None,
    bootstrap_servers: BootstrapServersOption = None,
    redis_url: RedisUrlOption = None,
    pipeline: PipelineOption = None,
) -> None:
    """Play three sample clips as streams, and show their results. Ends by itself, but with --page by Ctrl-C."""
    if page and ask:
        raise UsageError("demo: expected --page or --ask, got both")
    if ask:
        from triptych.demo_ask import ask_about_clips, check_asking

        check_asking()
    from triptych.service.health import Health
    from triptych.service.logs import configure_logs
    from triptych.settings.loading import load
    from triptych.worker.observability.logs import log_hook
    from triptych.worker.run import WholeLog
    from triptych.worker.wiring import Dependencies, open_pipeline

    if page and realtime is False:
        raise UsageError(
            "demo: expected --page without --fast, got both: played as fast as possible, the clips would fill the page "
            "with hours of event time within seconds"
        )
    flags = {"model.name": model, "kafka.bootstrap_servers": bootstrap_servers, "redis.url": redis_url}
    settings = load(config, flags | {"pipeline": pipeline})
    configure_logs(settings.log.model_copy(update={"level": "warning"}))
    console = Console()
    with ExitStack() as stack:
        clips = [stack.enter_context(as_file(files("triptych.samples").joinpath(name))) for name in SAMPLES]
        parts = (parts_on_servers if kafka else parts_in_memory)(stack, settings)
        if page:
            from triptych.demo_page import play_on_page

            play_on_page(stack, settings, parts, clips, console)
            return
        console.print("Loading the model …")
        around = Dependencies(parts.transport, parts.store, [log_hook()], Health())
        worker = stack.enter_context(open_pipeline(settings, around, WholeLog.of(settings)))
        console.print(f"Playing {', '.join(clip.name for clip in clips)}")
        results = _play(worker, parts, clips, console, realtime=bool(realtime))
        _summarise(results, console)
        if ask:
            ask_about_clips(parts.transport, settings.pipeline, console)


# --- playing and showing ----------------------------------------------------------------------------------------------


def _play(
    worker: Pipeline, parts: DemoParts, clips: Sequence[Path], console: Console, *, realtime: bool
) -> list[Result]:
    """Run the producers, the worker and the subscriber at the same time, until all results are shown."""
    stop_playing, stop_working, produced = threading.Event(), threading.Event(), threading.Event()
    subscription = parts.subscriber.results()
    with ThreadPoolExecutor(2, thread_name_prefix="demo") as threads:
        producing = threads.submit(play_clips, parts.transport, clips, stop_playing, realtime=realtime)
        producing.add_done_callback(lambda _: produced.set())
        working = threads.submit(worker.run, stop_working, until_end=produced.is_set)
        working.add_done_callback(lambda _: subscription.stop())
        try:
            results = list(_shown(subscription, console))
            _check(producing)
            working.result()
            # Results that were published after the subscriber's last poll and before the end of the worker.
            results += _shown(parts.subscriber.results(since=subscription.cursor, until_end=True), console)
        finally:
            stop_playing.set()
            stop_working.set()
    return results


def _check(producing: Future[tuple[SourceOutcome, ...]]) -> None:
    for outcome in producing.result():
        if outcome.error is not None:
            raise outcome.error


def _shown(results: Iterator[Result], console: Console) -> Iterator[Result]:
    """Show the results while passing them on: as a live table on a terminal, one per line elsewhere."""
    from triptych.consumers.watching.table import ResultsTable, result_line

    table = ResultsTable()
    if not console.is_terminal:
        for result in results:
            console.print(result_line(result), soft_wrap=True, highlight=False)
            yield result
        return
    with Live(table, console=console, refresh_per_second=8):
        for result in results:
            table.add(result)
            yield result


def _summarise(results: Sequence[Result], console: Console) -> None:
    """Show in how many windows of each stream each modality was present.

    Raises:
        DemoError: a stream or a modality is missing.
    """
    present = Counter[tuple[str, str]]()
    for result in results:
        for modality, report in result.modalities:
            present[result.stream, modality] += report.state in {"present", "held"}
    table = Table(title="Windows in which each modality was present")
    for heading in ("stream", "windows", "video", "audio", "subtitles"):
        table.add_column(heading)
    streams = Counter(result.stream for result in results)
    for stream, windows in sorted(streams.items()):
        table.add_row(stream, str(windows), *(str(present[stream, m]) for m in ("video", "audio", "subtitles")))
    console.print(table)
    missing = [m for m in ("video", "audio", "subtitles") if not any(present[s, m] for s in streams)]
    if missing or len(streams) != len(SAMPLES):
        raise DemoError(
            f"expected results of {len(SAMPLES)} streams with all modalities, "
            f"got {len(streams)} streams and no {missing}"
        )
