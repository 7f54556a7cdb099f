"""The command `triptych trace`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Final

import typer

from triptych.schemas.names import STREAM_PATTERN

_TRACE_ID: Final = re.compile(r"[0-9a-fA-F]{32}")
_WINDOW_ID: Final = re.compile(rf"({STREAM_PATTERN[1:-1]}/[0-9]{{1,19}}-[0-9]{{1,19}})(?:/([0-9]{{1,19}}))?")


def trace(
    what: Annotated[
        str,
        typer.Argument(
            metavar="ID",
            help="The id of a result (STREAM/START-END/REVISION), of a window (STREAM/START-END), or a trace_id.",
            show_default=False,
        ),
    ],
    *,
    from_: Annotated[
        str,
        typer.Option(
            "--from",
            metavar="FILE|FOLDER|URL",
            help="Where the spans are stored: JSON of an OpenTelemetry Collector's file exporter, or "
            "http://HOST:PORT of Jaeger or Tempo.",
            show_default=False,
        ),
    ],
) -> None:
    """Print the trace of a window as a tree: when each step began and how long it took."""
    from triptych.consumers.traces.span_reading import is_url, read_files, read_server
    from triptych.consumers.traces.span_tree import span_trees, tree_lines
    from triptych.schemas.errors import UsageError

    trace_id, revision = _trace_of(what)
    found = read_server(from_, trace_id) if is_url(from_) else read_files(Path(from_), trace_id)
    trees = span_trees(found.of_trace)
    wanted = [tree for tree in trees if revision is None or tree.revision in {revision, None}]
    for note in found.notes:
        typer.echo(note, err=True)
    if not wanted:
        known = sorted({tree.revision for tree in trees if tree.revision is not None})
        hint = (
            f"there are the revisions {', '.join(map(str, known))}"
            if known
            else "is it sampled (its result has a `trace_id`; trace.sample_ratio), did the worker export it "
            "(`spans_lost` in its log), and is it still kept there?"
        )
        raise UsageError(f"{what}: expected spans of trace {trace_id} in {from_}, found none; {hint}")
    for at, tree in enumerate(wanted):
        typer.echo("\n" * bool(at) + "\n".join(tree_lines(tree, found)))


def _trace_of(what: str) -> tuple[str, int | None]:
    """Return the trace that an id belongs to, and the revision that it names, if any."""
    from triptych.schemas.errors import UsageError
    from triptych.schemas.tracing.trace_context import window_trace_id

    if _TRACE_ID.fullmatch(what):
        return what.lower(), None
    window = _WINDOW_ID.fullmatch(what)
    if window is None:
        raise UsageError(
            f"id: expected STREAM/START-END/REVISION, STREAM/START-END or 32 hexadecimal digits, got {what!r}"
        )
    return window_trace_id(window[1]), None if window[2] is None else int(window[2])
