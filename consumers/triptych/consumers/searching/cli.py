"""The commands `triptych index` and `triptych search`. They import what they need when they run."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from triptych.schemas.errors import UsageError
from triptych.service.cli_from_config import ReadAs, command_from
from triptych.service.cli_options import BootstrapServersOption, ConfigOption, PipelineOption

if TYPE_CHECKING:
    from triptych.consumers.searching.cue_names import NameFinder
    from triptych.consumers.searching.search import SearchAnswer

INDEX_HELP = "Folder of the index. [default: triptych/index/PIPELINE in $XDG_DATA_HOME or ~/.local/share]"
LOCATION_HELP = (
    "Folder of the index, or postgresql://USER@HOST:PORT/DATABASE. "
    "[default: triptych/index/PIPELINE in $XDG_DATA_HOME or ~/.local/share]"
)
IndexOption = Annotated[
    Path | None,
    typer.Option("--index", metavar="FOLDER", help=INDEX_HELP),
]
IndexLocationOption = Annotated[str | None, typer.Option("--index", metavar="LOCATION", help=LOCATION_HELP)]


@dataclass(frozen=True, slots=True)
class SearchScopeOptions:
    """Where to look."""

    stream: Annotated[
        tuple[str, ...], typer.Option(help="Only this stream; repeatable."), ReadAs(list[str] | None, tuple)
    ] = ()
    since: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Only after this event time (2026-01-01T00:00:00Z) or this long ago (12h)."),
    ] = None
    until: Annotated[str | None, typer.Option(metavar="TIME", help="Only before this event time or this long ago.")] = (
        None
    )


@dataclass(frozen=True, slots=True)
class ConditionsOnMoments:
    """What each window must fulfil."""

    scope: SearchScopeOptions = SearchScopeOptions()
    said: Annotated[str, typer.Option(metavar="WORDS", help="Only windows in which all these words were said.")] = ""
    seen: Annotated[str, typer.Option(metavar="WORDS", help="Only windows in which all these were seen.")] = ""
    heard: Annotated[str, typer.Option(metavar="WORDS", help="Only windows in which all these were heard.")] = ""


@dataclass(frozen=True, slots=True)
class SearchOptions:
    """What to look for, where, and how to print it."""

    text: Annotated[str, typer.Argument(metavar="TEXT", help="What to look for: words, or a description.")] = ""
    conditions: ConditionsOnMoments = ConditionsOnMoments()
    limit: Annotated[int, typer.Option(min=1, max=1_000, metavar="N", help="The most moments to show.")] = 10
    json: Annotated[bool, typer.Option("--json", help="Print one moment per line, as JSON.")] = False
    words_only: Annotated[
        bool, typer.Option("--words-only", help="Do not load an encoder: find words, not what is meant.")
    ] = False
    picture_space: Annotated[
        str | None,
        typer.Option(metavar="SOURCE", help="The foundation model of the workers' --picture-space, if they have one."),
    ] = None
    index: IndexLocationOption = None
    pipeline: PipelineOption = None
    config: ConfigOption = None


@dataclass(frozen=True, slots=True)
class RetentionOptions:
    """What is deleted from the index."""

    keep: Annotated[
        str | None,
        typer.Option(
            metavar="AGE", help="Delete what was published longer ago (90s, 30m, 12h, 30d). Default: nothing."
        ),
    ] = None
    max_gib: Annotated[
        float | None,
        typer.Option(min=0.01, metavar="N", help="Delete the oldest windows of an index larger than this."),
    ] = None


@dataclass(frozen=True, slots=True)
class IndexOptions:
    """What is indexed, and where."""

    index: IndexLocationOption = None
    since: Annotated[
        str,
        typer.Option(
            metavar="TIME",
            help="Where a new index begins: beginning, now, or a publication time with its zone "
            "(2026-01-01T00:00:00Z). One that exists continues where it ends.",
        ),
    ] = "beginning"
    retention: RetentionOptions = RetentionOptions()
    names: Annotated[
        str | None,
        typer.Option(
            metavar="SOURCE",
            help="A model of named entities (folder:DIR or hf:NAME@COMMIT; the extra foundation) finds names in cues. "
            "Default: names are words with capitals.",
        ),
    ] = None
    until_end: Annotated[bool, typer.Option("--until-end", help="Exit after the last result that exists now.")] = False
    bootstrap_servers: BootstrapServersOption = None
    pipeline: PipelineOption = None
    config: ConfigOption = None


@command_from(IndexOptions)
def index(options: IndexOptions) -> None:
    """Keep an index of what was seen, heard, said and described, for `triptych search`.

    It follows the results and descriptions in Kafka. After a crash it continues where the index ends: nothing is
    missing, and nothing is in it twice.
    """
    from contextlib import closing

    from triptych.consumers.searching.index_opening import open_index_writer
    from triptych.consumers.searching.indexing import IndexLoop, Retention
    from triptych.consumers.subscription.cursor import BEGINNING
    from triptych.consumers.subscription.since import duration_ns
    from triptych.service.logs import configure_logs
    from triptych.service.signals import stop_on_signal
    from triptych.settings.loading import load
    from triptych.transport.open import open_transport
    from triptych.units import NS_PER_S

    settings = load(
        options.config, {"kafka.bootstrap_servers": options.bootstrap_servers, "pipeline": options.pipeline}
    )
    configure_logs(settings.log)
    keep, max_gib = options.retention.keep, options.retention.max_gib
    retention = Retention(
        keep_s=None if keep is None else duration_ns(keep, "keep") / NS_PER_S,
        max_bytes=None if max_gib is None else round(max_gib * (1 << 30)),
    )
    start = None if options.since == BEGINNING else options.since
    finder = None if options.names is None else _name_finder(options.names)
    with (
        stop_on_signal() as stop,
        open_index_writer(
            options.index or index_folder(settings.pipeline),
            settings.pipeline,
            password=settings.index.password(),
            stop=stop,
        ) as writer,
        closing(open_transport(settings.kafka)) as transport,
    ):
        counts = IndexLoop(writer, retention, finder).run(transport, stop, since=start, until_end=options.until_end)
    typer.echo(
        f"indexed {counts.windows:,} windows and {counts.descriptions:,} descriptions; "
        f"{counts.malformed:,} records were malformed",
        err=True,
    )


@command_from(SearchOptions)
def search(options: SearchOptions) -> None:
    """Find moments in what `triptych index` has written: by their words, by what is meant, or both.

    Each moment names its best result, whose media `triptych evidence RESULT` fetches, and why it was found.
    """
    from contextlib import closing
    from dataclasses import replace

    from triptych.consumers.searching.query_embedding import query_embedder
    from triptych.consumers.searching.search import WORDS_ONLY, MomentQuery, MomentSearch
    from triptych.consumers.subscription.since import span_ns
    from triptych.settings.loading import load

    settings = load(options.config, {"pipeline": options.pipeline})
    wanted, scope = options.conditions, options.conditions.scope
    begin_ns, end_ns = span_ns(scope.since, scope.until)
    query = MomentQuery(
        text=options.text,
        streams=scope.stream,
        since_ns=begin_ns,
        until_ns=end_ns,
        said=wanted.said,
        seen=wanted.seen,
        heard=wanted.heard,
        limit=options.limit,
    )
    location = options.index or index_folder(settings.pipeline)
    with closing(
        MomentSearch.open(location, pipeline=settings.pipeline, password=settings.index.password())
    ) as searcher:
        embedder = None
        if query.text.strip() and not options.words_only and searcher.space is not None:
            embedder = query_embedder(searcher.space, options.picture_space)
        answer = searcher.with_embedder(embedder).find(query)
    if options.words_only:  # it need not be told what was asked for
        answer = replace(answer, notes=tuple(note for note in answer.notes if not note.startswith(WORDS_ONLY)))
    (_print_json if options.json else _print_moments)(answer)


def _name_finder(source: str) -> NameFinder:
    from triptych.models.foundation.named_entities import named_entities

    return named_entities(source)


def index_folder(pipeline: str, environ: Mapping[str, str] = os.environ) -> Path:
    """Return the default folder of a pipeline's index.

    Raises:
        UsageError: no variable names a folder, and the user has no home.
    """
    base = environ.get("XDG_DATA_HOME")
    try:
        data = Path(base) if base else Path.home() / ".local" / "share"
    except RuntimeError as error:
        raise UsageError(
            "index: expected a folder, found none: this user has no home; name one with --index"
        ) from error
    return data / "triptych" / "index" / pipeline


def _print_json(answer: SearchAnswer) -> None:
    import json
    from dataclasses import asdict

    for moment in answer.moments:
        typer.echo(json.dumps(asdict(moment), ensure_ascii=False))
    for note in answer.notes:
        typer.echo(note, err=True)


def _print_moments(answer: SearchAnswer) -> None:
    from rich.console import Console
    from rich.text import Text

    from triptych.terminal_text import printable

    console = Console()
    for number, moment in enumerate(answer.moments, 1):
        best = moment.windows[0]
        console.print(
            Text.assemble(
                (f"{number:>2}  ", "bold"),
                (printable(moment.stream), "bold cyan"),
                f"  {_shown_time(moment.start_ns)} to {_shown_time(moment.end_ns)[11:]}",
            )
        )
        for part in best.why:
            reason = f"{_reason(part.words_score, part.similarity)} in {_shown_part(part.part)}"
            console.print(Text(f"    {reason}" + (f": {printable(part.text.strip())}" if part.text.strip() else "")))
        console.print(Text(f"    triptych evidence {best.result}", style="dim"), soft_wrap=True)
    if not answer.moments:
        console.print("nothing was found")
    for note in answer.notes:
        Console(stderr=True).print(Text(note, style="yellow"))


def _reason(words_score: float | None, similarity: float | None) -> str:
    if words_score is None and similarity is None:
        return "is"
    words = [] if words_score is None else ["words"]
    return " and ".join(words + ([] if similarity is None else [f"meaning {similarity:.2f}"]))


def _shown_part(part: str) -> str:
    names: dict[str, Any] = {"video": "the pictures", "audio": "the sound", "subtitles": "the words"}
    return str(names.get(part, f"the {part}"))


def _shown_time(time_ns: int) -> str:
    from datetime import UTC, datetime

    from triptych.units import NS_PER_S

    return datetime.fromtimestamp(time_ns / NS_PER_S, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-5] + "Z"
