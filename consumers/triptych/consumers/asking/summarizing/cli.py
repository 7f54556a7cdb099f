"""The command `triptych summarize`. It imports what it needs when it runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from triptych.consumers.asking.cli import grounded_writer
from triptych.consumers.asking.options import LanguageModelOptions
from triptych.consumers.searching.cli import INDEX_HELP, index_folder
from triptych.schemas.errors import UsageError
from triptych.service.cli_from_config import command_from
from triptych.service.cli_options import BootstrapServersOption, ConfigOption, PipelineOption

if TYPE_CHECKING:
    from collections.abc import Sequence

    from triptych.consumers.asking.grounded import GroundedWriter
    from triptych.consumers.asking.lookup import IndexLookup
    from triptych.consumers.asking.summarizing.summary import HourSummary
    from triptych.settings.tree import Settings


@dataclass(frozen=True, slots=True)
class SummarizeOptions:
    """What `triptych summarize` takes."""

    stream: Annotated[str, typer.Argument(help="The stream.")]
    from_: Annotated[
        str | None,
        typer.Option("--from", metavar="TIME", help="Where it begins: an event time, or this long ago (12h)."),
    ] = None
    to: Annotated[str | None, typer.Option("--to", metavar="TIME", help="Where it ends.")] = None
    to_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the report to this file. Default: standard output.")
    ] = None
    pictures: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Fetch a picture of each hour from Kafka to this folder, as JPEG."),
    ] = None
    language_model: LanguageModelOptions = field(default_factory=LanguageModelOptions)
    index: Annotated[Path | None, typer.Option(metavar="FOLDER", help=INDEX_HELP)] = None
    bootstrap_servers: BootstrapServersOption = None
    pipeline: PipelineOption = None
    config: ConfigOption = None


@command_from(SummarizeOptions)
def summarize(options: SummarizeOptions) -> None:
    """Write a report of a stream in Markdown, hour by hour: what was seen, heard and said, and what was wrong."""
    from triptych.consumers.asking.asker import Asker
    from triptych.consumers.asking.lookup import MAX_WINDOWS, AskScope
    from triptych.consumers.asking.summarizing.report import report
    from triptych.consumers.asking.summarizing.summary import hours_of
    from triptych.consumers.asking.wording import say
    from triptych.consumers.subscription.since import span_ns
    from triptych.settings.loading import load

    flags = {
        "kafka.bootstrap_servers": options.bootstrap_servers,
        "pipeline": options.pipeline,
        "describe.key_file": options.language_model.key_file,
    }
    settings = load(options.config, flags)
    scope = AskScope((options.stream,), *span_ns(options.from_, options.to, ("--from", "--to")))
    writer = grounded_writer(options.language_model, settings)
    lookup = Asker.open(options.index or index_folder(settings.pipeline)).lookup
    _check_stream(lookup, options.stream)
    hours = list(hours_of(lookup, scope))
    pictures = {} if options.pictures is None else _pictures(options.pictures, options, settings, lookup, hours)
    worded, notes = ({}, []) if writer is None else _worded(writer, hours)
    notes += [say("cut", "en", most=MAX_WINDOWS)] if lookup.is_cut else []
    text = report(options.stream, hours, pictures, worded, notes)
    if options.to_file is None:
        typer.echo(text, nl=False)
    else:
        try:
            options.to_file.write_text(text, encoding="utf-8")
        except OSError as error:
            raise UsageError(f"--to-file: {options.to_file} cannot be written: {error.strerror}") from error


def _check_stream(lookup: IndexLookup, stream: str) -> None:
    streams = () if lookup.bounds is None else lookup.bounds.streams
    if stream not in streams:
        raise UsageError(f"summarize: expected a stream of the index ({', '.join(streams) or 'none'}), got {stream!r}")


def _pictures(
    folder: Path, options: SummarizeOptions, settings: Settings, lookup: IndexLookup, hours: Sequence[HourSummary]
) -> dict[int, str]:
    """Fetch the pictures. Return their names as the report links them."""
    import os
    from contextlib import closing

    from triptych.consumers.asking.summarizing.hour_pictures import write_pictures
    from triptych.transport.open import open_transport

    wanted = {hour.start_ns: moment.results[0] for hour in hours if (moment := hour.best_moment) is not None}
    since_ns = lookup.published_since(tuple(wanted.values()))
    with closing(open_transport(settings.kafka)) as transport:
        found = write_pictures(transport, settings.pipeline, wanted, since_ns, folder)
    if len(found) < len(wanted):
        typer.echo(f"{len(wanted) - len(found)} pictures no longer exist in Kafka", err=True)
    beside = Path.cwd() if options.to_file is None else options.to_file.resolve().parent
    return {start_ns: Path(os.path.relpath(path.resolve(), beside)).as_posix() for start_ns, path in found.items()}


def _worded(writer: GroundedWriter, hours: Sequence[HourSummary]) -> tuple[dict[int, str], list[str]]:
    """Let the model sum up each hour. Return its texts with their sources, and what the reader should know."""
    from triptych.consumers.asking.grounded import numbered_quotes
    from triptych.consumers.asking.summarizing.report import cited_quotes
    from triptych.consumers.asking.wording import say

    texts: dict[int, str] = {}
    notes: list[str] = []
    dropped = 0
    for hour in hours:
        things = [] if hour.people is None else [hour.people]
        seen = [moment for thing in (*things, *hour.things, *hour.sounds) for moment in thing.moments]
        quotes = numbered_quotes(hour.cues, seen)
        written = writer.write("Sum up this hour in at most five sentences.", quotes, "en")
        dropped += len(written.dropped)
        if written.problem:
            notes.append(say("no model", "en", reason=written.problem))
        cited = {number for sentence in written.sentences for number in sentence.citations}
        if cited:
            sources = {quote.number: quote.source for quote in quotes if quote.number in cited}
            texts[hour.start_ns] = cited_quotes(written.text, sources)
    notes += [say("dropped one" if dropped == 1 else "dropped", "en", number=dropped)] if dropped else []
    return texts, list(dict.fromkeys(notes))
