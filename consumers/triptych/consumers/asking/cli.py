"""The command `triptych graph query`, and what `triptych ask` does. They import what they need when they run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from triptych.consumers.asking.options import AskOptions, LanguageModelOptions
from triptych.consumers.searching.cli import IndexOption, index_folder
from triptych.schemas.errors import UsageError
from triptych.service.cli_options import ConfigOption, PipelineOption

if TYPE_CHECKING:
    from triptych.consumers.asking.answer import Answer
    from triptych.consumers.asking.grounded import GroundedWriter
    from triptych.consumers.asking.lookup import AskScope
    from triptych.settings.tree import Settings

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


def answer_question(options: AskOptions) -> None:
    """Answer the question of the options, and print the answer. The program itself defines the command.

    Raises:
        UsageError: there is no question, or an option is invalid.
    """
    from triptych.consumers.asking.asker import Asker
    from triptych.consumers.asking.session import LastAnswer, load_session, save_session
    from triptych.settings.loading import load

    if not options.question.strip():
        raise UsageError("ask: expected a question, got none; give QUESTION in English or Chinese")
    flags = {"pipeline": options.pipeline, "describe.key_file": options.language_model.key_file}
    settings = load(options.config, flags)
    folder = options.index or index_folder(settings.pipeline)
    asker = Asker.open(folder, _existing(options.aliases), grounded_writer(options.language_model, settings))
    last = None if options.session is None else load_session(folder, options.session)
    answer = asker.ask(options.question, _scope(options), last)
    (_print_json if options.json else _print_answer)(answer)
    if options.session is not None:
        save_session(folder, options.session, LastAnswer.of(answer, last or LastAnswer()))


def names_to_ask_about(options: AskOptions) -> list[str]:
    """Return what things and sounds are called in the index of the options.

    Raises:
        IndexFolderError: the folder holds no index.
        WindowGraphError: the index has no graph.
    """
    from triptych.consumers.asking.asker import Asker
    from triptych.settings.loading import load

    folder = options.index or index_folder(load(options.config, {"pipeline": options.pipeline}).pipeline)
    return Asker.open(folder).lookup.names()


def grounded_writer(options: LanguageModelOptions, settings: Settings) -> GroundedWriter | None:
    """Return the language model of the options; None without one.

    Raises:
        UsageError: its name or its URL is missing or invalid.
    """
    if options.endpoint is None and options.model is None:
        return None
    if options.endpoint is None or options.model is None:
        raise UsageError("ask: expected --endpoint and --model, got one of them only")
    from triptych.consumers.asking.grounded import GroundedWriter
    from triptych.consumers.describing.chat.endpoint import HttpChatEndpoint

    key = settings.describe.api_key()
    return GroundedWriter(HttpChatEndpoint(options.endpoint, key=key, timeout_s=options.timeout), options.model)


def _existing(path: Path | None) -> Path | None:
    if path is not None and not path.is_file():
        raise UsageError(f"aliases: expected a file, found none at {path}")
    return path


def _scope(options: AskOptions) -> AskScope:
    from triptych.consumers.asking.lookup import AskScope
    from triptych.consumers.subscription.since import span_ns

    wanted = options.scope
    return AskScope(wanted.stream, *span_ns(wanted.since, wanted.until))


def _print_json(answer: Answer) -> None:
    import json
    from dataclasses import asdict

    typer.echo(json.dumps({**asdict(answer), "results": answer.results}, ensure_ascii=False))


def _print_answer(answer: Answer) -> None:
    from rich.console import Console
    from rich.text import Text

    from triptych.consumers.asking.wording import SHOWN_MOMENTS, moment_line
    from triptych.terminal_text import printable

    console = Console()
    if answer.worded and answer.worded != answer.text:
        console.print(Text(printable(answer.worded)), soft_wrap=True)
    console.print(Text(printable(answer.text), style="bold"), soft_wrap=True)
    cited = [(f"[{citation.number}] ", citation.source) for citation in answer.citations]
    for number, moment in cited or [("", moment) for moment in answer.moments[:SHOWN_MOMENTS]]:
        line = f"  {number}{printable(moment_line(moment))}  {printable(moment.text)}"
        console.print(Text(line, style="cyan"), soft_wrap=True)
        console.print(Text(f"    triptych evidence {moment.results[0]}", style="dim"), soft_wrap=True)
    errors = Console(stderr=True)
    if answer.understood:
        errors.print(Text(f"understood: {printable(answer.understood)}", style="dim"), soft_wrap=True)
    for note in answer.notes:
        errors.print(Text(note, style="yellow"), soft_wrap=True)


def _print_table(columns: tuple[str, ...], rows: tuple[tuple[str | int | bool | None, ...], ...]) -> None:
    from rich.console import Console
    from rich.table import Table

    from triptych.terminal_text import printable

    table = Table(*columns)
    for row in rows:
        table.add_row(*("" if value is None else printable(str(value)) for value in row))
    Console().print(table)
