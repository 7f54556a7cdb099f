"""What the words of a question are called in the graph: other names, plurals, Chinese names, and those of a file."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Final

from triptych.consumers.searching.graph.facts import thing_name
from triptych.schemas.errors import UsageError

ALIAS_FILE: Final = "aliases.toml"
CHINESE_OR_JAPANESE: Final = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]")
"""A character of a script without spaces between words."""
_OTHER_THINGS: Final = frozenset({"hot dog", "prairie dog", "teddy bear", "potted plant"})
"""Names that end with the name of something else. A sports car is a car, but a hot dog is no dog."""


class ThingNames:
    """Names that mean the same, in groups. Names of one group are found by any of them."""

    def __init__(self, groups: Iterable[Sequence[str]], own_groups: Iterable[Sequence[str]] = ()) -> None:
        """Join groups.

        Args:
            groups: what things are called in English and Chinese.
            own_groups: names that a user joins. They are names in what was said as well, in any script.
        """
        own_groups = tuple(own_groups)
        self._groups = _joined([*groups, *own_groups])
        self._own_groups = _joined(own_groups)

    @classmethod
    def load(cls, alias_file: Path | None = None) -> ThingNames:
        """Return the built-in names and those of a file.

        Args:
            alias_file: TOML with lists of names: `NYC = ["New York", "纽约"]`. A file that does not exist is none.

        Raises:
            UsageError: the file is not such a file.
        """
        own_groups: list[Sequence[str]] = []
        text = files("triptych.consumers.asking.parsing").joinpath("thing_names.toml").read_text(encoding="utf-8")
        groups = _groups(tomllib.loads(text), "thing_names.toml")
        if alias_file is not None and alias_file.is_file():
            try:
                own_groups = _groups(tomllib.loads(alias_file.read_text(encoding="utf-8")), str(alias_file))
            except (OSError, ValueError) as error:
                raise UsageError(f"{alias_file}: expected TOML with lists of names, got: {error}") from error
        return cls(groups, own_groups)

    def same(self, term: str) -> tuple[str, ...]:
        """Return all names of the same thing, the given one first."""
        name = thing_name(term)
        return (name, *sorted(self._groups.get(name, set()) - {name}))

    def said_as(self, term: str) -> tuple[str, ...]:
        """Return what somebody may say who means a term, the given one first: names of its script, and those of a user.

        Who asks for 狗 wants to hear that word, not `dog`.
        """
        own = self._own_groups.get(thing_name(term), set())
        same = (name for name in self.same(term) if name in own or _has_spaces(name) == _has_spaces(term))
        return tuple(dict.fromkeys((term, *same)))

    def among(self, term: str, known: Iterable[str]) -> tuple[str, ...]:
        """Return those of the known names that mean a term: the same thing, or a kind of it (a sports car is a car)."""
        wanted = set(self.same(term))
        endings = tuple(f" {name}" for name in wanted)
        return tuple(name for name in known if name in wanted or (name.endswith(endings) and name not in _OTHER_THINGS))


def _has_spaces(name: str) -> bool:
    return CHINESE_OR_JAPANESE.search(name) is None


def _joined(groups: Iterable[Sequence[str]]) -> dict[str, set[str]]:
    joined: dict[str, set[str]] = {}
    for group in groups:
        names = {thing_name(name) for name in group}
        for name in names:  # a name of two groups joins them
            names = names | joined.get(name, set())
        for name in names:
            joined[name] = names
    return joined


def _groups(document: Mapping[str, object], where: str) -> list[Sequence[str]]:
    groups: list[Sequence[str]] = []
    for name, others in document.items():
        if not isinstance(others, list) or not all(isinstance(other, str) for other in others):
            raise UsageError(f"{where}: {name}: expected a list of names, got {others!r}")
        groups.append([name, *others])
    return groups
