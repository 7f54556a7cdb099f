"""Queries of a user only read, reach nothing outside, and end."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from tests.consumers.searching.conftest import SearchWorld
from triptych.cli import app
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
    ],
)
def test_a_query_of_another_server_is_refused(query: str) -> None:
    """However it is written."""
    with pytest.raises(UsageError, match="SERVICE"):
        check_query(query)


@pytest.mark.parametrize(
    "text", ["?service", "'service'", "<urn:service>", "# service", "tri:service", '"""service"""']
)
def test_the_word_service_elsewhere_is_a_word(text: str) -> None:
    """In a variable, a text, an IRI, a comment or a name."""
    check_query(f"SELECT * {{ ?a ?b {text} \n}}")


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
