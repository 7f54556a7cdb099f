"""Names that a model finds: in the rows of an index, its graph, and the answers from it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from typer.testing import CliRunner

from tests.consumers.searching.conftest import SearchWorld
from triptych.cli import app
from triptych.consumers import Asker
from triptych.consumers.searching.cue_names import with_names
from triptych.consumers.searching.rows import IndexRow, index_rows
from triptych.schemas.errors import UsageError

TEXTS = {"我在上海见到李雷。": ("上海", "李雷"), "nobody is here": ()}


class KnownNames:
    """Knows the names of a few texts, and fails at any other one."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []

    def names(self, texts: Sequence[str]) -> list[tuple[str, ...]]:
        """Return the names of texts."""
        self.calls.append(list(texts))
        return [TEXTS[text] for text in texts]


def rows_of(world: SearchWorld, *said: str) -> list[IndexRow]:
    """Return the rows of windows with these words."""
    return [row for number, text in enumerate(said) for row in index_rows(world.result(number, text), None)]


def names_in(rows: Sequence[IndexRow]) -> list[list[str] | None]:
    """Return the names of the cues of rows; None for a cue that says nothing of names."""
    return [cue.get("names") for row in rows for cue in (row.details or {}).get("cues", ())]


def test_each_cue_says_its_names(world: SearchWorld) -> None:
    """Each text is read once, and rows without cues stay as they are."""
    finder = KnownNames()
    rows = [*rows_of(world, "我在上海见到李雷。", "nobody is here", "nobody is here"), *rows_of(world, "")]
    named = with_names(rows, finder)
    assert names_in(named) == [["上海", "李雷"], [], []]
    assert finder.calls == [["我在上海见到李雷。", "nobody is here"]]
    assert [row for row in named if row.part != "subtitles"] == [row for row in rows if row.part != "subtitles"]


def test_a_cue_that_the_model_cannot_read_does_not_stop_the_others(world: SearchWorld) -> None:
    """It is logged without the words."""
    with capture_logs() as logs:
        named = with_names(
            rows_of(world, "nobody is here", "a text that breaks it", "我在上海见到李雷。"), KnownNames()
        )
    assert names_in(named) == [[], None, ["上海", "李雷"]]
    assert [entry["event"] for entry in logs] == ["names_not_found"]
    assert "breaks" not in json.dumps({**logs[0], "reason": ""})


def test_answers_have_the_names_that_the_model_found(world: SearchWorld) -> None:
    """The rules find none in Chinese, and one in English that the model does not know."""
    said = ["我在上海见到李雷。", "We met Peter Pan."]
    world.publish(*(world.result(number, text) for number, text in enumerate(said)))
    with capture_logs():
        world.index(names=KnownNames())
    assert Asker.open(world.folder).ask("Who was mentioned?").value == ("上海", "李雷", "Peter Pan")


def test_the_command_takes_a_model(world: SearchWorld, tmp_path: Path) -> None:
    """`--names` names its source; the graph has the names."""
    tiny_models = pytest.importorskip("tests.models.foundation.tiny_models")
    folder = tiny_models.tiny_named_entities(tmp_path / "model")
    from triptych.models.foundation.named_entities import named_entities

    world.publish(world.result(0, "我在上海见到李雷"))
    world.index(names=named_entities(f"folder:{folder}"))
    query = "SELECT ?label { ?cue tri:mentions ?name . ?name tri:label ?label } ORDER BY ?label"
    done = CliRunner().invoke(app, ["graph", "query", query, "--index", str(world.folder), "--json"])
    assert done.exit_code == 0, done.output
    assert sorted(json.loads(line)["label"] for line in done.stdout.splitlines()) == ["上海", "李雷"]


def test_a_source_that_is_none_is_refused() -> None:
    """Before anything is opened."""
    done = CliRunner().invoke(app, ["index", "--names", "folder:/no/such/folder", "--until-end"])
    assert isinstance(done.exception, UsageError)
    assert "expected a folder, found none" in str(done.exception)
