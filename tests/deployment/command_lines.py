"""Parses command lines of deployment files with the real command line, without running the commands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import typer.main

from triptych import cli


def parse_command_line(args: Sequence[str]) -> None:
    """Parse the arguments of `triptych`.

    Raises:
        Exception: an error of Typer that says what the program does not know.
    """
    command = _without_effect(typer.main.get_command(cli.app))
    exit_code = command.main(args=list(args), prog_name="triptych", standalone_mode=False)
    assert exit_code in {None, 0}


def _without_effect(command: Any) -> Any:  # noqa: ANN401 - Typer's copy of click is not public
    for inner in getattr(command, "commands", {}).values():
        _without_effect(inner)
    if not getattr(command, "commands", None):
        command.callback = lambda **_: None
    return command
