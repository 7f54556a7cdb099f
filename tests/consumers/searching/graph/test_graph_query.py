"""Queries of a user only read, reach nothing outside, and end."""

from __future__ import annotations

import io
import json
import socket
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from tests.consumers.searching.conftest import SearchWorld
from triptych.cli import app
from triptych.consumers.searching.graph import query_child
from triptych.consumers.searching.graph.graph_query import GraphQueryLimits, GraphTable, check_query, query_graph
from triptych.consumers.searching.window_index import WindowIndex
from triptych.schemas.errors import UsageError


def asked(world: SearchWorld, query: str, **limits: float) -> GraphTable:
    """Ask the graph of the index."""
    index = WindowIndex.open(world.folder)
    return query_graph(index.graph_folder, index.meta.graph, query, GraphQueryLimits(**limits))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * { SERVICE <http://127.0.0.1/> { ?a ?b ?c } }",
        "select * { service silent <http://127.0.0.1/> { ?a ?b ?c } }",
        r"SELECT * { \u0053ERVICE <http://127.0.0.1/> { ?a ?b ?c } }",
        "SELECT * { # '\n SERVICE <http://127.0.0.1/> { ?a ?b ?c } }",
        "SELECT * { ?a ?b 'x' . SERVICE <http://127.0.0.1/> { ?a ?b 'y' } }",
        r"SELECT * { ?a ?b 'x\u0027 SERVICE <http://127.0.0.1/> { ?a ?b 'y' } }",
        "SELECT * { ?a ?b ?c .SERVICE <http://127.0.0.1/> { ?s ?p ?o } }",
        "SELECT * { ?a ?b 1SERVICE <http://127.0.0.1/> { ?s ?p ?o } }",
        "SELECT * { ?a ?b trueSERVICE <http://127.0.0.1/> { ?s ?p ?o } }",
        "SELECT * { ?a ?b ?c FILTER(1<2)SERVICE#>\n<http://127.0.0.1/> { ?s ?p ?o } }",
        "SELECT * { ?a ?b : SERVICE <http://127.0.0.1/> { ?s ?p ?o } }",
        "SELECT * { ?a <urn:'> ?b . SERVICE <http://127.0.0.1/> { ?a <urn:'> ?b } }",
        'SELECT * { ?a ?b ?c # "\n SERVICE <http://127.0.0.1/> { ?a ?b ?c } # "\n }',
        'SELECT * { ?a ?b """ " """ . SERVICE <http://127.0.0.1/> { ?a ?b """ " """ } }',
        r'SELECT * { ?a ?b "\"" . SERVICE <http://127.0.0.1/> { ?a ?b "\"" } }',
    ],
)
def test_a_query_of_another_server_is_refused(query: str) -> None:
    """However it is written."""
    with pytest.raises(UsageError, match="SERVICE"):
        check_query(query)


def test_triples_come_once(world: SearchWorld) -> None:
    """Although several rows of a window say the same of it."""
    world.publish(*(world.result(number, "bank", seen="dog") for number in range(3)))
    world.index()
    table = asked(world, "DESCRIBE ?a WHERE { ?a ?b ?c }")
    assert table.rows
    assert len(set(table.rows)) == len(table.rows)


def test_a_damaged_graph_is_told_with_what_to_do(world: SearchWorld) -> None:
    """Of a query, and of the writer."""
    world.publish(world.result(0, "bank"))
    world.index()
    index = WindowIndex.open(world.folder)
    (index.graph_folder / index.meta.graph / "CURRENT").write_text("junk")
    with pytest.raises(UsageError, match=r"graph of the index is damaged .* delete this folder"):
        asked(world, "SELECT * { ?a ?b ?c }")
    with pytest.raises(UsageError, match="graph of the index is damaged"):
        world.index()


@pytest.mark.parametrize("text", ["?service", "$service", '"of service"', "<urn:service>", "tri:service"])
def test_the_word_service_elsewhere_is_a_word(text: str) -> None:
    """In a variable, a name, and a text where texts are certain."""
    check_query(f"SELECT * {{ ?a ?b {text} \n}}")


@pytest.mark.parametrize("text", ["'service'", "# service\n 1", '"""service"""', "<http://h/service>"])
def test_the_word_service_is_refused_where_it_could_be_the_keyword(text: str) -> None:
    """In a comment or a text in other quotes too: rather one harmless query less."""
    with pytest.raises(UsageError, match="SERVICE"):
        check_query(f"SELECT * {{ ?a ?b {text} \n}}")


def test_the_child_has_no_network(world: SearchWorld) -> None:
    """A query that came past the refusal reaches no server, where Linux permits that."""
    world.publish(world.result(0, "word"))
    world.index()
    code = (
        "from triptych.consumers.searching.graph.query_child import leave_network as l; import sys; sys.exit(not l())"
    )
    if subprocess.run([sys.executable, "-c", code], check=False).returncode:
        pytest.skip("this machine permits no namespaces")
    index = WindowIndex.open(world.folder)
    with socket.create_server(("127.0.0.1", 0)) as server:
        query = f"SELECT * {{ SERVICE <http://127.0.0.1:{server.getsockname()[1]}/> {{ ?a ?b ?c }} }}"
        command = [sys.executable, "-m", query_child.__name__, str(index.graph_folder / index.meta.graph), "9", "4096"]
        done = subprocess.run(command, input=query, capture_output=True, text=True, timeout=280, check=False)
        server.settimeout(0)
        with pytest.raises(BlockingIOError):
            server.accept()
    assert (done.returncode, "unreachable" in done.stderr) == (1, True)


def test_a_long_answer_is_cut(
    world: SearchWorld, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """At so many bytes, since a single text may be as long as one likes."""
    world.publish(*(world.result(number, f"word {number}") for number in range(9)))
    world.index()
    index = WindowIndex.open(world.folder)
    monkeypatch.setattr(query_child, "leave_network", lambda: False)
    monkeypatch.setattr(query_child.resource, "setrlimit", lambda *_: None)
    monkeypatch.setattr(sys, "stdin", io.StringIO("SELECT ?text { ?cue tri:text ?text }"))
    query_child.main(str(index.graph_folder / index.meta.graph), 99, 1, most_bytes=100)
    out = capsys.readouterr().out
    assert 2 < out.count("\n") < 9
    assert out.endswith('{"more": true}\n')


def test_only_an_invalid_query_is_called_invalid(world: SearchWorld) -> None:
    """Values that are no numbers are texts, and what ends the process otherwise is told as such."""
    world.publish(world.result(0, "word"))
    world.index()
    rows = asked(world, 'SELECT ?n { VALUES ?n { "a"^^<http://www.w3.org/2001/XMLSchema#integer> 7 } }').rows
    assert set(rows) == {("a",), (7,)}
    with pytest.raises(UsageError, match="within 1 MiB of memory, got none: the query needs more"):
        asked(world, "ASK { ?a ?b ?c }", mib=1)


def test_a_query_reads_within_its_limits(world: SearchWorld) -> None:
    """Rows are cut, a long query is ended, and what is no query or changes something is refused."""
    world.publish(*(world.result(number, f"word {number}") for number in range(60)))
    world.index()
    table = asked(world, "SELECT ?text WHERE { ?cue tri:text ?text }", rows=5)
    assert (len(table.rows), table.cut, table.columns) == (5, True, ("text",))
    assert asked(world, "ASK { ?w a tri:Window }").rows == ((True,),)
    assert asked(world, "SELECT (COUNT(?w) AS ?n) WHERE { ?w a tri:Window }").rows == ((60,),)
    with pytest.raises(UsageError, match="expected a SPARQL query that reads"):
        asked(world, "INSERT DATA { <urn:a> <urn:b> 1 }")
    with pytest.raises(UsageError, match="within 1 s"):
        asked(world, "SELECT (COUNT(*) AS ?n) WHERE { ?a ?b ?c . ?d ?e ?f . ?g ?h ?i . ?j ?k ?l }", seconds=1)


def test_the_command_prints_rows(world: SearchWorld) -> None:
    """One JSON object a line, or a table."""
    world.publish(world.result(3, "ANNA: We met John Smith."))
    world.index()
    command = [
        "graph",
        "query",
        "--index",
        str(world.folder),
        "SELECT ?l WHERE { ?n a tri:Name ; tri:label ?l } ORDER BY ?l",
    ]
    done = CliRunner().invoke(app, [*command, "--json"])
    assert [json.loads(line) for line in done.stdout.splitlines()] == [{"l": "ANNA"}, {"l": "John Smith"}]
    assert "John Smith" in CliRunner().invoke(app, command).stdout
