"""Read the spans of a trace: from files of an OpenTelemetry Collector, or from the API of Jaeger or Tempo."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Final
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from triptych.consumers.traces.stored_span import StoredSpan, spans_in
from triptych.schemas.errors import TriptychError, UsageError

_SUFFIXES: Final = (".json", ".jsonl")
_TIMEOUT_S: Final = 30.0
_NOT_FOUND: Final = 404
_LOGIN: Final = (401, 403)
_FILES: Final = (
    "expected JSON of traces, as the file exporter of an OpenTelemetry Collector writes it (one document a line, "
    "`format: json`, without compression), or as Jaeger or Tempo returns it"
)


class TraceStoreError(TriptychError):
    """The server that stores the traces does not answer, or its answer is no trace."""

    exit_code: ClassVar[int] = 3


@dataclass(frozen=True, slots=True)
class FoundSpans:
    """What was read.

    Attributes:
        of_trace: the spans of the trace.
        linked: spans of other traces that these link to, as far as they were stored in the same place.
        notes: what was left out, one line each, for people.
    """

    of_trace: list[StoredSpan] = field(default_factory=list)
    linked: list[StoredSpan] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def is_url(origin: str) -> bool:
    """Return whether the origin of spans is a server, not a file or folder."""
    return origin.startswith(("http://", "https://"))


def read_files(path: Path, trace_id: str) -> FoundSpans:
    """Read the files twice: for the spans of a trace, and for those that they link to. In memory are these only.

    Args:
        path: a file, or a folder whose files `*.json` and `*.jsonl` are read: a collector that rotates writes several.
        trace_id: lower-case hexadecimal.

    Raises:
        UsageError: there is no such file, or what is in it is no JSON of traces.
    """
    files = _files(path)
    found = FoundSpans()
    seen = 0
    for span in _spans(files, found.notes.append):
        seen += 1
        if span.context.trace_id == trace_id:
            found.of_trace.append(span)
    if not seen:
        raise UsageError(f"--from {path}: {_FILES}; found no span")
    wanted = {link for span in found.of_trace for link in span.links}
    if wanted:
        found.linked.extend(span for span in _spans(files, lambda _: None) if span.context in wanted)
    return found


def read_server(url: str, trace_id: str) -> FoundSpans:
    """Ask Jaeger or Tempo for a trace: `GET URL/api/traces/TRACE_ID`. Blocks for the answer, half a minute at most.

    What the trace links to are traces of their own, which are not asked for.

    Raises:
        UsageError: the URL is invalid.
        TraceStoreError: the server does not answer, asks for a login, or its answer is no trace.
    """
    parts = urlsplit(url)
    if not parts.hostname or parts.username or parts.query or parts.fragment:
        raise UsageError("--from: expected http://HOST:PORT of Jaeger or Tempo, without user, query and fragment")
    address = f"{url.rstrip('/')}/api/traces/{trace_id}"
    request = Request(address, headers={"Accept": "application/json"})  # noqa: S310 - http or https, see `is_url`
    try:
        with urlopen(request, timeout=_TIMEOUT_S) as answer:  # noqa: S310 - as above
            body: bytes = answer.read()
    except HTTPError as error:
        if error.code == _NOT_FOUND:
            return FoundSpans()
        hint = "; save the trace as JSON, and give the file to --from" if error.code in _LOGIN else ""
        raise TraceStoreError(f"{address} answered {error.code} {error.reason}{hint}") from error
    except (URLError, OSError, http.client.HTTPException) as error:
        raise TraceStoreError(f"{address} does not answer: {getattr(error, 'reason', error)}") from error
    try:
        return FoundSpans([span for span in spans_in(json.loads(body)) if span.context.trace_id == trace_id])
    except ValueError as error:
        raise TraceStoreError(
            f"{address}: expected the JSON of Jaeger or Tempo, got something else: {error}"
        ) from error


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        files = sorted(each for each in path.iterdir() if each.suffix in _SUFFIXES and each.is_file())
        if not files:
            raise UsageError(f"--from {path}: expected files *.json or *.jsonl in the folder, found none")
        return files
    if not path.is_file():
        raise UsageError(f"--from {path}: no such file or folder")
    return [path]


def _spans(files: Collection[Path], note: Callable[[str], None]) -> Iterator[StoredSpan]:
    for path in files:
        left_out = 0
        try:
            for document in _documents(path):
                if document is None:
                    left_out += 1
                else:
                    yield from spans_in(document)
        except (ValueError, OSError) as error:
            raise UsageError(f"--from {path}: {_FILES}; {error}") from error
        if left_out:
            note(f"{path}: {left_out} lines are no JSON and were left out (is it still being written?)")


def _documents(path: Path) -> Iterator[object | None]:
    """Iterate over the documents of a file: one for each line, or one for the file. None is a line that is no JSON."""
    with path.open("rb") as lines:
        first = next(lines, b"")
        try:
            yield json.loads(first)
        except ValueError:
            yield json.loads(first + lines.read())  # indented, as people save it
            return
        for line in lines:
            try:
                yield json.loads(line) if line.strip() else {}
            except ValueError:
                yield None
