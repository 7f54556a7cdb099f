"""The commands `triptych dead list`, `show` and `redrive`. They import the client when they run."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from triptych.service.cli_options import BootstrapServersOption, ConfigOption, PipelineOption

if TYPE_CHECKING:
    from rich.console import Console

    from triptych.consumers.dead.letters import Selection
    from triptych.consumers.subscription.log_reading import Progress
    from triptych.settings.tree import Settings

dead = typer.Typer(
    help="Show the records that could not be processed, and redrive them.", no_args_is_help=True, add_completion=False
)

_WIDTH: Final = 240

StreamOption = Annotated[str | None, typer.Option("--stream", metavar="STREAM", help="Only letters of this stream.")]
ReasonOption = Annotated[
    str | None, typer.Option("--reason", metavar="REASON", help="Only letters with this reason, as shown by `list`.")
]
SinceOption = Annotated[
    str | None,
    typer.Option(
        "--since",
        metavar="TIME|AGE",
        help="Only letters since a time with its zone (2026-01-01T00:00:00Z), or an age (30m, 12h, 7d).",
    ),
]


@dead.command("list")
def list_letters(
    *,
    each: Annotated[bool, typer.Option("--each", help="One line per letter, instead of counts.")] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON object per line.")] = False,
    stream: StreamOption = None,
    reason: ReasonOption = None,
    since: SinceOption = None,
    config: ConfigOption = None,
    bootstrap_servers: BootstrapServersOption = None,
    pipeline: PipelineOption = None,
) -> None:
    """Count the dead letters by reason and stream, with their state."""
    from triptych.consumers.dead.letters import grouped, read_letters
    from triptych.consumers.dead.text import group_lines, letter_lines, table
    from triptych.transport.open import open_transport

    settings = _settings(config, bootstrap_servers, pipeline)
    wanted = _selection(stream, reason, since)
    with closing(open_transport(settings.kafka)) as transport, _progress("reading") as progress:
        letters = read_letters(transport, settings.pipeline, since_ns=wanted.since_ns, progress=progress)
    chosen = [letter for letter in letters.newest() if wanted.includes(letter)]
    if each:
        _echo(letter_lines(letters, chosen, as_json=json))
    elif json:
        _echo(group_lines(grouped(letters, chosen)))
    elif chosen:
        _console().print(table(grouped(letters, chosen)))
    else:
        typer.echo("no dead letters")
    if letters.unreadable:
        typer.echo(f"{letters.unreadable} records on the topic are neither dead letters nor marks", err=True)


@dead.command()
def show(
    letter: Annotated[
        str,
        typer.Argument(
            metavar="ID|PARTITION:OFFSET",
            help="TOPIC/PARTITION/OFFSET of the record, as shown by `list`, or PARTITION:OFFSET of the letter.",
        ),
    ],
    *,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE|DIR", help="Write the record's value to a new file.", show_default=False),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    config: ConfigOption = None,
    bootstrap_servers: BootstrapServersOption = None,
    pipeline: PipelineOption = None,
) -> None:
    """Show one dead letter in full: reason, origin, headers. With --out, write its media to a file."""
    from json import dumps

    from triptych.consumers.dead.letters import find_letter
    from triptych.consumers.dead.text import full_description, full_lines, write_value
    from triptych.transport.open import open_transport

    settings = _settings(config, bootstrap_servers, pipeline)
    with closing(open_transport(settings.kafka)) as transport, _progress("searching") as progress:
        letters, found, record = find_letter(transport, settings.pipeline, letter, progress=progress)
    fields = full_description(letters, found, record)
    if out is not None:
        fields["file"] = str(write_value(out, found, record))
    _echo([dumps(fields)] if json else full_lines(fields))


@dead.command()
def redrive(
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be redriven.")] = False,
    again: Annotated[
        bool, typer.Option("--again", help="Also letters whose record was redriven and dead-lettered again.")
    ] = False,
    stream: StreamOption = None,
    reason: ReasonOption = None,
    since: SinceOption = None,
    config: ConfigOption = None,
    bootstrap_servers: BootstrapServersOption = None,
    pipeline: PipelineOption = None,
) -> None:
    """Send the records of dead letters back to their topics, each at most once. Run one redrive at a time.

    Redriven records count as late. Published windows stay as they are, unless the worker revises them.
    """
    from triptych.consumers.dead import redrive as redriving
    from triptych.consumers.dead.letters import grouped, read_letters
    from triptych.consumers.dead.text import redriven_lines, table
    from triptych.transport.open import open_transport

    settings = _settings(config, bootstrap_servers, pipeline)
    selection = _selection(stream, reason, since)
    with closing(open_transport(settings.kafka)) as transport:
        with _progress("reading") as progress:
            letters = read_letters(transport, settings.pipeline, since_ns=selection.since_ns, progress=progress)
        planned = redriving.plan(letters, selection, again=again)
        if dry_run:
            if planned.wanted:
                _console().print(table(grouped(letters, planned.wanted)))
            _echo(redriven_lines(planned, None))
            return
        with _progress("redriving") as progress:
            outcome = redriving.redrive(
                transport, letters, planned.wanted, pipeline=settings.pipeline, progress=progress
            )
    _echo(redriven_lines(planned, outcome))
    if outcome.failed:
        raise typer.Exit(1)


def _settings(config: Path | None, bootstrap_servers: str | None, pipeline: str | None) -> Settings:
    from triptych.service.logs import configure_logs
    from triptych.settings.loading import load

    settings = load(config, {"kafka.bootstrap_servers": bootstrap_servers, "pipeline": pipeline})
    configure_logs(settings.log)
    return settings


def _selection(stream: str | None, reason: str | None, since: str | None) -> Selection:
    from triptych.consumers.dead.letters import Selection
    from triptych.consumers.subscription.since import since_ns

    return Selection(stream, reason, since_ns(since))


@contextmanager
def _progress(task_name: str) -> Iterator[Progress]:
    """Show a progress bar on a terminal; remove it at the end."""
    from rich.console import Console
    from rich.progress import Progress as Bars

    with Bars(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bars:
        task = bars.add_task(task_name, total=None)
        yield lambda done, total: bars.update(task, completed=done, total=total)


def _console() -> Console:
    """Return a console that does not cut lines if the output is not a terminal."""
    from rich.console import Console

    return Console() if sys.stdout.isatty() else Console(width=_WIDTH)


def _echo(lines: Iterable[str]) -> None:
    for line in lines:
        typer.echo(line)
