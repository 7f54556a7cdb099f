"""The commands `triptych ask` and `triptych graph query`. They import what they need when they run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from triptych.consumers.asking.options import AskOptions
from triptych.consumers.searching.cli import IndexOption, index_folder
from triptych.schemas.errors import UsageError
from triptych.service.cli_from_config import command_from
from triptych.service.cli_options import ConfigOption, PipelineOption

if TYPE_CHECKING:
    from triptych.consumers.asking.answer import Answer
    from triptych.consumers.asking.lookup import AskScope

app = typer.Typer(no_args_is_help=True, add_completion=False, help="What an index knows, as a graph.")


@app.callback()
def graph() -> None:
    """Query what `triptych index` has written, as a graph of windows, things, sounds, prompts, cues and names."""


@app.command("query")
def graph_query(
    query: Annotated[
        str, typer.Argument(metavar="SPARQL", help="SELECT, ASK, CONSTRUCT or DESCRIBE; the prefix tri: is known.")
    ],
    *,
    folder: IndexOption = None,
    json: Annotated[bool, typer.Option("--json", help="Print one row per line, as JSON.")] = False,
    rows: Annotated[int, typer.Option(min=1, metavar="N", help="The most rows to print.")] = 1_000,
    timeout: Annotated[float, typer.Option(min=0.1, metavar="S", help="Give up after this time.")] = 10.0,
    pipeline: PipelineOption = None,
    config: ConfigOption = None,
) -> None:
    """Answer a SPARQL query. It reads only, asks no other server, and ends in time."""
    from triptych.consumers.searching.graph.graph_query import GraphQueryLimits, query_graph
    from triptych.consumers.searching.window_index import WindowIndex
    from triptych.settings.loading import load

    opened = WindowIndex.open(folder or index_folder(load(config, {"pipeline": pipeline}).pipeline))
    found = query_graph(opened.graph_folder, opened.meta.graph, query, GraphQueryLimits(timeout, rows))
    if json:
        from json import dumps

        for row in found.rows:
            typer.echo(dumps(dict(zip(found.columns, row, strict=True)), ensure_ascii=False))
    else:
        _print_table(found.columns, found.rows)
    if found.cut:
        typer.echo(f"more than {rows:,} rows; --rows prints more", err=True)


@command_from(AskOptions)
def ask(options: AskOptions) -> None:
    """Answer a question about what `triptych index` has written: when, who, how many, what, before, after, ever.

    Each answer names its times and the results that show it, whose media `triptych evidence RESULT` fetches. Where
    nothing in the index supports an answer, it says so.
    """
    from triptych.consumers.asking.asker import Asker
    from triptych.consumers.asking.session import LastAnswer, load_session, save_session
    from triptych.settings.loading import load

    if not options.question.strip():
        raise UsageError("ask: expected a question, got none; give QUESTION in English or Chinese")
    settings = load(options.config, {"pipeline": options.pipeline})
    folder = options.index or index_folder(settings.pipeline)
    asker = Asker.open(folder, _existing(options.aliases))
    last = None if options.session is None else load_session(folder, options.session)
    answer = asker.ask(options.question, _scope(options), last)
    if options.session is not None:
        save_session(folder, options.session, LastAnswer.of(answer, last or LastAnswer()))
    (_print_json if options.json else _print_answer)(answer)


def _existing(path: Path | None) -> Path | None:
    if path is not None and not path.is_file():
        raise UsageError(f"aliases: expected a file, found none at {path}")
    return path


def _scope(options: AskOptions) -> AskScope:
    from triptych.consumers.asking.lookup import AskScope
    from triptych.consumers.subscription.since import since_ns

    wanted = options.scope
    return AskScope(
        wanted.stream,
        None if wanted.since is None else since_ns(wanted.since),
        None if wanted.until is None else since_ns(wanted.until),
    )


def _print_json(answer: Answer) -> None:
    import json
    from dataclasses import asdict

    typer.echo(json.dumps({**asdict(answer), "results": answer.results}, ensure_ascii=False))


def _print_answer(answer: Answer) -> None:
    from rich.console import Console
    from rich.text import Text

    from triptych.consumers.asking.wording import SHOWN_MOMENTS, moment_line
    from triptych.consumers.dead.text import printable

    console = Console()
    console.print(Text(printable(answer.text), style="bold"), soft_wrap=True)
    for moment in answer.moments[:SHOWN_MOMENTS]:
        console.print(
            Text(f"  {printable(moment_line(moment))}  {printable(moment.text)}", style="cyan"), soft_wrap=True
        )
        console.print(Text(f"    triptych evidence {moment.results[0]}", style="dim"), soft_wrap=True)
    errors = Console(stderr=True)
    if answer.understood:
        errors.print(Text(f"understood: {printable(answer.understood)}", style="dim"), soft_wrap=True)
    for note in answer.notes:
        errors.print(Text(note, style="yellow"), soft_wrap=True)


def _print_table(columns: tuple[str, ...], rows: tuple[tuple[str | int | bool | None, ...], ...]) -> None:
    from rich.console import Console
    from rich.table import Table

    from triptych.consumers.dead.text import printable

    table = Table(*columns)
    for row in rows:
        table.add_row(*("" if value is None else printable(str(value)) for value in row))
    Console().print(table)
