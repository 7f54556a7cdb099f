"""Typer commands made of dataclasses."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import pytest
import typer
from typer.testing import CliRunner

from triptych.schemas.errors import UsageError
from triptych.service.cli_from_config import ReadAs, command_from, one_of


@dataclass(frozen=True)
class Inner:
    """Options of a part."""

    size: Annotated[int, typer.Option(min=1, help="How large.", rich_help_panel="Inner")] = 3
    mode: Annotated[Literal["text", "binary"], typer.Option(help="How to read.")] = "text"
    pairs: Annotated[
        dict[str, str],
        typer.Option("--pair", metavar="NAME=VALUE"),
        ReadAs(list[str] | None, lambda given: dict(pair.split("=") for pair in given)),
    ] = field(default_factory=lambda: {"default": "yes"})


@dataclass(frozen=True)
class Outer:
    """Options of a command."""

    source: Annotated[Path, typer.Argument(metavar="SOURCE")]
    out: Annotated[Path, typer.Option(metavar="FOLDER")]
    name: Annotated[str | None, typer.Option()] = None
    force: Annotated[bool, typer.Option("--force")] = False
    inner: Inner = field(default_factory=Inner)


def parse(*arguments: str) -> Outer:
    """Run a command of `Outer` and return the options that it got."""
    received: list[Outer] = []

    @command_from(Outer)
    def copy(options: Outer) -> None:
        """Copy a file."""
        received.append(options)

    app = typer.Typer()
    app.command()(copy)
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return received[0]


def test_defaults_are_those_of_the_fields() -> None:
    """Only what has no default must be given."""
    assert parse("a", "--out", "b") == Outer(Path("a"), Path("b"))


def test_every_field_has_an_option() -> None:
    """Options of the nested dataclass stand beside those of the outer one."""
    options = parse(
        "a", "--out", "b", "--name", "n", "--force", "--size", "7", "--mode", "binary", "--pair", "x=1", "--pair", "y=2"
    )
    assert options == Outer(Path("a"), Path("b"), "n", force=True, inner=Inner(7, "binary", {"x": "1", "y": "2"}))


def test_a_value_outside_a_literal_type_is_rejected() -> None:
    """The message names the flag and the choices."""
    with pytest.raises(UsageError, match="--mode: expected text or binary, got 'hex'"):
        parse("a", "--out", "b", "--mode", "hex")
    assert one_of(("a", "b", "c")) == "a, b or c"


def test_help_shows_types_defaults_choices_and_panels() -> None:
    """The function's docstring is the help of the command."""

    @command_from(Outer)
    def copy(options: Outer) -> None:
        """Copy a file."""

    app = typer.Typer()
    app.command()(copy)
    shown = CliRunner().invoke(app, ["--help"], terminal_width=120, env={"COLUMNS": "120"}).output
    for expected in (
        "Copy a file.",
        "SOURCE",
        "NAME=VALUE",
        "text|binary",
        "[default: 3]",
        "x>=1",
        "Inner",
        "How large.",
    ):
        assert expected in shown
    assert copy.__name__ == "copy"


def test_a_field_without_an_option_is_a_mistake_of_the_programmer() -> None:
    """So are two fields with one name."""

    @dataclass
    class Bare:
        size: int

    with pytest.raises(TypeError, match=r"Bare\.size: expected an annotation with typer\.Option"):
        command_from(Bare)

    @dataclass
    class Twice:
        size: Annotated[int, typer.Option()]
        inner: Inner

    with pytest.raises(TypeError, match="Twice: expected each field's name once, got twice: size"):
        command_from(Twice)
