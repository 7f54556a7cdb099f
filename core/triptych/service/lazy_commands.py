"""A Typer group whose commands are imported when they run.

    COMMANDS = (
        LazyCommand("copy", "files.cli:copy", "Copy a file."),
        LazyCommand("show", "files.show.cli:app", "Show files: as text, as pictures."),
    )
    app = typer.Typer(cls=group_of(COMMANDS))

The help of the group and the completion of command names read the summaries in this table and import nothing.
Everything else (running a command, its own help, a generated reference) imports the command's module.
"""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any, TypeAlias

import typer
import typer.main
from typer.core import TyperCommand, TyperGroup

AnyCommand: TypeAlias = Any
"""A command or a group of Typer's own copy of click, which has no public types."""

AnyContext: TypeAlias = Any
"""A context of that copy of click."""


@dataclass(frozen=True, slots=True)
class LazyCommand:
    """A command that is imported when it is needed.

    Attributes:
        name: name on the command line.
        target: `module:attribute`, where the attribute is a function for `Typer.command` or a `typer.Typer`.
        summary: first paragraph of its help, on one line.
        optional_package: the command exists only where this package is installed; None: everywhere.
    """

    name: str
    target: str
    summary: str
    optional_package: str | None = None

    def exists(self) -> bool:
        """Return whether the package of the command is installed. Imports nothing of it."""
        return self.optional_package is None or find_spec(self.optional_package) is not None

    def load(self) -> AnyCommand:
        """Import the command and return it."""
        module, _, attribute = self.target.partition(":")
        found = getattr(import_module(module), attribute)
        if isinstance(found, typer.Typer):
            group = typer.main.get_command(found)
            group.name = self.name
            return group
        alone = typer.Typer(add_completion=False)
        alone.command(self.name)(found)
        return typer.main.get_command(alone)

    def unloaded(self) -> AnyCommand:
        """Return a command that has the name and the summary only."""
        return TyperCommand(self.name, help=self.summary)


class _LazyCommandMapping(MutableMapping[str, AnyCommand]):
    """Commands by name. Looking one up imports it, iterating over the names does not."""

    def __init__(self, lazy: Sequence[LazyCommand], loaded: MutableMapping[str, AnyCommand]) -> None:
        self._lazy = {command.name: command for command in lazy if command.exists()}
        self._loaded = dict(loaded)
        self._names = dict.fromkeys((*self._lazy, *loaded))

    def __getitem__(self, name: str) -> AnyCommand:
        if name not in self._loaded:
            self._loaded[name] = self._lazy[name].load()
        return self._loaded[name]

    def __setitem__(self, name: str, command: AnyCommand) -> None:
        self._names[name] = None
        self._loaded[name] = command

    def __delitem__(self, name: str) -> None:
        del self._names[name]
        self._loaded.pop(name, None)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def listed(self, name: str) -> AnyCommand | None:
        """Return a command for a list of commands: its name and summary only, unless it is imported already."""
        if name in self._loaded:
            return self._loaded[name]
        return self._lazy[name].unloaded() if name in self._lazy else None


class LazyGroup(TyperGroup):
    """A group with lazy commands. `group_of` makes a subclass for a table of commands."""

    lazy_commands: Sequence[LazyCommand] = ()

    def __init__(self, **attributes: Any) -> None:  # noqa: ANN401 - those of TyperGroup
        super().__init__(**attributes)
        self._by_name = _LazyCommandMapping(self.lazy_commands, self.commands)
        self.commands = self._by_name

    def list_commands(self, ctx: AnyContext) -> list[str]:
        """Return the names in the order of the table. Imports no command."""
        del ctx
        return list(self._by_name)

    def get_command(self, ctx: AnyContext, cmd_name: str) -> AnyCommand | None:
        """Return a command for help and completion, which need its name and summary only. Imports no command."""
        del ctx
        return self._by_name.listed(cmd_name)

    def resolve_command(self, ctx: AnyContext, args: list[str]) -> tuple[str | None, AnyCommand | None, list[str]]:
        """Return the command that the arguments name, imported, and the arguments after its name."""
        name, _, rest = super().resolve_command(ctx, args)
        return name, None if name is None else self._by_name[name], rest


def group_of(commands: Sequence[LazyCommand]) -> type[LazyGroup]:
    """Return the class for `typer.Typer(cls=…)` of a group with these commands."""
    return type("GroupOfLazyCommands", (LazyGroup,), {"lazy_commands": tuple(commands)})
