"""The page of all commands and their flags, read from the Typer application."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import typer.main

from tools.reference.markdown import code, escaped, one_line, table
from triptych import cli

Command = Any
"""A click command: Typer brings its own copy of click, which has no public types."""

_HEAD = """# Command line

Every command of `triptych`. `triptych COMMAND --help` prints the same. A flag takes precedence over an environment
variable, and that over the file that `--config` names; see [settings](settings.md). Exit codes are listed in
[operating](../operating.md) and on the pages of the commands.
"""


def page() -> str:
    """Return the page."""
    root = typer.main.get_command(cli.app)
    sections = [_section(path, command) for path, command in commands(root) if path != "triptych"]
    return "\n\n".join([_HEAD.rstrip(), *sections])


def commands(command: Command, path: str = "triptych") -> Iterator[tuple[str, Command]]:
    """Iterate over a command and all commands below it, with their full names."""
    yield path, command
    for name, inner in getattr(command, "commands", {}).items():
        yield from commands(inner, f"{path} {name}")


def _section(path: str, command: Command) -> str:
    level = "##" if path.count(" ") == 1 else "###"
    parts = [f"{level} {path}", _help(command)]
    if not getattr(command, "commands", None):
        shown = [p for p in command.params if not getattr(p, "hidden", False) and "--help" not in p.opts]
        arguments = [p for p in shown if p.param_type_name == "argument"]
        options = [p for p in shown if p.param_type_name == "option"]
        usage = [path, *(["[OPTIONS]"] if options else []), *(_metavar(p) for p in arguments)]
        parts.append(f"```text\n{' '.join(usage)}\n```")
        if arguments:
            parts.append(table(["argument", "meaning"], [(code(p.name.upper()), _meaning(p)) for p in arguments]))
        if options:
            rows = [(_names(p), code(_value(p)), code(_default(p)), _meaning(p)) for p in options]
            parts.append(table(["option", "value", "default", "meaning"], rows))
    return "\n\n".join(part for part in parts if part)


def _help(command: Command) -> str:
    text = inspect.cleandoc(command.help or "").replace("\b", "").strip()
    return "\n".join(line if line.startswith("    ") else escaped(line) for line in text.splitlines())


def _names(param: Command) -> str:
    return ", ".join(code(name) for name in (*param.opts, *param.secondary_opts))


def _metavar(param: Command) -> str:
    name = param.name.upper() + ("..." if param.nargs == -1 else "")
    return name if param.required else f"[{name}]"


def _value(param: Command) -> str:
    if param.is_flag:
        return ""
    if param.metavar:
        return str(param.metavar)
    annotation = param.type_descriptor.annotation
    if get_origin(annotation) is Literal:
        return " | ".join(map(str, get_args(annotation)))
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return " | ".join(str(one.value) for one in annotation)
    bounds = [f">= {param.min}"] if param.min is not None else []
    bounds += [f"<= {param.max}"] if param.max is not None else []
    names = {int: "INTEGER", float: "NUMBER", str: "TEXT", Path: "PATH"}
    return " ".join([names.get(annotation, "TEXT"), *bounds])


def _default(param: Command) -> str:
    default = param.default
    if default is None or callable(default) or (getattr(param, "is_flag", False) and not default):
        return ""
    if isinstance(default, Enum):
        return str(default.value)
    if isinstance(default, (list, tuple)):
        return " ".join(map(str, default))
    return "" if "UNSET" in repr(default).upper() else str(default)


def _meaning(param: Command) -> str:
    return one_line((param.help or "") + (" Required." if param.required and param.param_type_name == "option" else ""))
