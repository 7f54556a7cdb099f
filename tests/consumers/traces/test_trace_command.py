"""`triptych trace`: spans that our exporter sent, stored as JSON by a collector, Tempo or Jaeger, printed as a tree."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.otlp_json import collector_json, jaeger_json, tempo_json
from tests.span_collector import span_collector
from triptych.cli import app
from triptych.schemas.tracing.trace_context import TraceContext, record_context, window_trace_id
from triptych.service.tracing.exporter import TraceExporter
from triptych.service.tracing.spans import FinishedSpan
from triptych.settings.trace import TraceSettings

T0 = 1_767_225_600_000_000_000
MS = 1_000_000
WINDOW = f"door/{T0}-{T0 + 2_000 * MS}"
TRACE_ID = window_trace_id(WINDOW)
SENDERS = [record_context("door", name) for name in "abc"]


def span(
    name: str,
    start_ms: int,
    end_ms: int,
    *,
    parent: str | None = "window",
    revision: int = 0,
    **more: Any,  # noqa: ANN401 - fields of a span
) -> FinishedSpan:
    """Return a span of the window's trace, with an id made of its name and the revision."""

    def span_id(of: str) -> str:
        return f"{of}{revision}".encode().hex()[-16:].zfill(16)

    parent_id = None if parent is None else span_id(parent)
    return FinishedSpan(
        name, TraceContext(TRACE_ID, span_id(name)), parent_id, T0 + start_ms * MS, T0 + end_ms * MS, **more
    )


def window_spans(revision: int = 0, *, later_ms: int = 0) -> list[FinishedSpan]:
    """Return the spans of a revision of the window."""
    about = {"triptych.window": WINDOW, "triptych.revision": revision, "triptych.pipeline": "triptych"}
    return [
        span("infer", 30 + later_ms, 45 + later_ms, revision=revision, error="RuntimeError: no memory"),
        span("publish", 45 + later_ms, 50 + later_ms, revision=revision),
        span("collect", later_ms, 30 + later_ms, revision=revision),
        span("window", later_ms, 50 + later_ms, parent=None, revision=revision, attributes=about, links=SENDERS),
    ]


@pytest.fixture(scope="module")
def requests() -> list[bytes]:
    """What arrives at a collector: a worker's window and its revision, a subscriber, and two of the three senders."""
    programs = {
        "triptych-worker": [*window_spans(), *window_spans(1, later_ms=500)],
        "triptych-watch": [span("process triptych.results", 48, 49, parent="publish")],
        "triptych-producer": [
            FinishedSpan("send triptych.video", sender, None, T0 - 40 * MS + at * MS, T0 - 30 * MS + 2 * at * MS)
            for at, sender in enumerate(SENDERS[:2])
        ],
    }
    with span_collector() as collector:
        for service, spans in programs.items():
            with TraceExporter(TraceSettings(endpoint=collector.endpoint, sample_ratio=1), service) as exporter:
                exporter.send(spans)
        return list(collector.requests)


@pytest.fixture
def answers() -> Iterator[tuple[str, dict[str, tuple[int, bytes]]]]:
    """The URL of a server, and what it answers at each path."""
    known: dict[str, tuple[int, bytes]] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = known.get(self.path, (404, b'{"errors": [{"msg": "trace not found"}]}'))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Stay silent."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}", known
        server.shutdown()
        thread.join()


def run(*args: str | Path) -> tuple[int, str, str]:
    """Run the command and return exit code, output and messages."""
    done = CliRunner().invoke(app, ["trace", *map(str, args)])
    return done.exit_code, done.stdout, done.stderr if done.exception is None else done.stderr + str(done.exception)


TREE = f"""\
window {WINDOW}, revision 0, pipeline triptych, trace {TRACE_ID}
    start ms      took ms
       0.000       50.000  window  [triptych-worker]
       0.000       30.000  ├─ collect
      30.000       15.000  ├─ infer  failed: RuntimeError: no memory
      45.000        5.000  └─ publish
      48.000        1.000     └─ process triptych.results  [triptych-watch]
"""
LINKED = "     -40.000       12.000  linked: 2 x send triptych.video, the longest 11.000 ms  [triptych-producer]\n"


def missing(spans: int, sender: TraceContext) -> str:
    """Return the line about links that lead nowhere."""
    return (
        f"{'':>25}  linked: {spans} spans of other traces, which are not stored here or were not asked for; "
        f"the first: triptych trace {sender.trace_id}\n"
    )


def test_a_trace_in_the_files_of_a_collector_is_a_tree(requests: list[bytes], tmp_path: Path) -> None:
    """Rotated files are read together; a line that is still being written is left out and said."""
    (tmp_path / "spans-1.jsonl").write_text("".join(json.dumps(collector_json(each)) + "\n" for each in requests[:1]))
    whole = "".join(json.dumps(collector_json(each)) + "\n" for each in [*requests[1:], requests[1]])
    (tmp_path / "spans.jsonl").write_text(whole + '{"resourceMetrics": []}\n\n' + '{"resourceSpans": [{"resou')

    code, out, messages = run(f"{WINDOW}/0", "--from", tmp_path)

    assert (code, out) == (0, TREE + LINKED + missing(1, SENDERS[2]))
    assert "spans.jsonl: 1 lines are no JSON" in messages


@pytest.mark.parametrize(
    "stored",
    [
        lambda requests: json.dumps(jaeger_json(*requests), indent=2),
        lambda requests: "".join(json.dumps(tempo_json(each)) + "\n" for each in requests),
    ],
    ids=["jaeger", "tempo"],
)
def test_what_jaeger_and_tempo_return_may_be_saved_as_a_file(
    requests: list[bytes], tmp_path: Path, stored: Callable[[list[bytes]], str]
) -> None:
    """Ids in base64, microseconds, references and indentation: the tree is the same."""
    path = tmp_path / "trace.json"
    path.write_text(stored(requests))

    _, out, _ = run(f"{WINDOW}/0", "--from", path)

    # Jaeger has no text of the error here.
    assert out.replace("failed\n", "failed: RuntimeError: no memory\n") == TREE + LINKED + missing(1, SENDERS[2])


def test_a_server_is_asked_for_the_trace(
    requests: list[bytes], answers: tuple[str, dict[str, tuple[int, bytes]]]
) -> None:
    """Jaeger and Tempo have the same path. The senders are traces of their own."""
    url, known = answers
    ours = [each for each in jaeger_json(*requests)["data"] if each["traceID"] == TRACE_ID]
    known[f"/api/traces/{TRACE_ID}"] = 200, json.dumps({"data": ours}).encode()

    code, out, _ = run(f"{WINDOW}/0", "--from", f"{url}/")

    assert code == 0
    assert out.replace("failed\n", "failed: RuntimeError: no memory\n") == TREE + missing(3, SENDERS[0])


def test_a_window_or_a_trace_id_has_the_trees_of_all_revisions(requests: list[bytes], tmp_path: Path) -> None:
    """One after the other; a sender's trace has a tree too."""
    path = tmp_path / "spans.jsonl"
    path.write_text("".join(json.dumps(collector_json(each)) + "\n" for each in requests))

    for what in (WINDOW, TRACE_ID.upper()):
        _, out, _ = run(what, "--from", path)
        assert [line for line in out.splitlines() if line.startswith("window")] == [
            f"window {WINDOW}, revision {number}, pipeline triptych, trace {TRACE_ID}" for number in (0, 1)
        ]
        assert out.startswith(TREE)
    _, out, _ = run(f"{WINDOW}/1", "--from", path)
    assert out.count("triptych.results") == 0
    assert f"window {WINDOW}, revision 1," in out
    _, out, _ = run(SENDERS[0].trace_id, "--from", path)
    assert out.splitlines()[-1] == "       0.000       10.000  send triptych.video  [triptych-producer]"


@pytest.mark.parametrize("is_reversed", [False, True], ids=["in order", "reversed"])
def test_a_window_that_a_restarted_worker_exported_again_has_its_later_spans(
    tmp_path: Path, *, is_reversed: bool
) -> None:
    """The ids are the same, so both are the same span: the one that ended last counts, wherever it stands."""
    second = [replace(span, error=None) for span in window_spans(later_ms=200)]
    with span_collector() as collector:
        for spans in (window_spans(), second):
            settings = TraceSettings(endpoint=collector.endpoint, sample_ratio=1)
            with TraceExporter(settings, "triptych-worker") as exporter:
                exporter.send(spans)
        requests = collector.requests[::-1] if is_reversed else collector.requests
    path = tmp_path / "spans.jsonl"
    path.write_text("".join(json.dumps(collector_json(each)) + "\n" for each in requests))

    _, out, _ = run(f"{WINDOW}/0", "--from", path)

    steps = TREE.replace("  failed: RuntimeError: no memory", "").splitlines()[:6]
    assert out.splitlines()[:6] == steps


def test_a_span_without_its_parent_is_shown_alone(requests: list[bytes], tmp_path: Path) -> None:
    """Such as a subscriber's, where the worker's spans were lost."""
    path = tmp_path / "spans.jsonl"
    path.write_text(json.dumps(collector_json(requests[1])))
    code, out, _ = run(f"{WINDOW}/0", "--from", path)
    assert code == 0
    assert "process triptych.results  [triptych-watch]" in out
    assert "its parent 7075626c69736830 is not stored here" in out


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "expected JSON of traces"),
        ("not JSON", "expected JSON of traces"),
        ('{"resourceSpans": [{"scopeSpans": [{"spans": [{"name": "x"}]}]}]}', "KeyError('traceId')"),
        ('{"resourceLogs": []}', "found no span"),
    ],
)
def test_a_file_that_holds_no_spans_is_an_error(tmp_path: Path, content: str, said: str) -> None:
    """It says what was expected."""
    path = tmp_path / "x.json"
    path.write_text(content)
    code, _, messages = run(f"{WINDOW}/0", "--from", path)
    assert code != 0
    assert said in messages


def test_errors_say_what_to_do(
    requests: list[bytes], answers: tuple[str, dict[str, tuple[int, bytes]]], tmp_path: Path
) -> None:
    """A window without a trace, a revision that does not exist, a server that wants a login or is none."""
    path = tmp_path / "spans.jsonl"
    path.write_text("".join(json.dumps(collector_json(each)) + "\n" for each in requests))
    url, known = answers

    assert "is it sampled" in run("door/1-2/0", "--from", path)[2]
    assert "there are the revisions 0, 1" in run(f"{WINDOW}/7", "--from", path)[2]
    assert "expected STREAM/START-END/REVISION" in run("door", "--from", path)[2]
    assert "no such file" in run(WINDOW, "--from", tmp_path / "none")[2]
    (tmp_path / "empty").mkdir()
    assert "expected files *.json" in run(WINDOW, "--from", tmp_path / "empty")[2]
    assert "is it sampled" in run(WINDOW, "--from", url)[2]
    known[f"/api/traces/{TRACE_ID}"] = 401, b""
    assert "answered 401 Unauthorized; save the trace as JSON" in run(WINDOW, "--from", url)[2]
    known[f"/api/traces/{TRACE_ID}"] = 200, b"<html>"
    assert "expected the JSON of Jaeger or Tempo" in run(WINDOW, "--from", url)[2]
    assert "does not answer" in run(WINDOW, "--from", "http://127.0.0.1:9")[2]
    assert "without user" in run(WINDOW, "--from", "http://me:secret@127.0.0.1")[2]
