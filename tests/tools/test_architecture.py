"""The page on architecture names what exists: every step of the trips, and the layers that import-linter checks."""

from __future__ import annotations

import ast
import re
import tomllib
from functools import cache
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
PAGE = (REPOSITORY / "docs" / "architecture.md").read_text(encoding="utf-8")
STEPS = re.findall(r"^\| \d+ \| `([^`]+)` \| `([^`]+)` \| [^|]+ \| [^|]+ \|$", PAGE, flags=re.MULTILINE)


@cache
def functions(path: Path) -> frozenset[str]:
    """Return the functions of a module, and the methods as `Class.method`."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = set()
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.ClassDef):
            methods = [one for one in node.body if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)]
            found |= {f"{node.name}.{method.name}" for method in methods}
            found |= {f"{node.name}.{name}" for name in _inherited(path, tree, node)}
    return frozenset(found)


def _inherited(path: Path, tree: ast.Module, node: ast.ClassDef) -> set[str]:
    """Return the methods of the base classes that are imported from modules of ours."""
    root = REPOSITORY / path.relative_to(REPOSITORY).parts[0]
    bases = {base.id for base in node.bases if isinstance(base, ast.Name)}
    found = set()
    for one in tree.body:
        if isinstance(one, ast.ImportFrom) and one.module and bases.intersection(alias.name for alias in one.names):
            module = root / Path(*one.module.split(".")).with_suffix(".py")
            if module.exists():
                found |= {name.partition(".")[2] for name in functions(module) if name.partition(".")[0] in bases}
    return found


def test_the_page_follows_three_trips() -> None:
    """A frame, a dead letter and a rebalance."""
    assert len(STEPS) == len(re.findall(r"^\| \d+ \|", PAGE, flags=re.MULTILINE))
    assert len(re.findall(r"^\| 1 \|", PAGE, flags=re.MULTILINE)) == 3


@pytest.mark.parametrize(("file", "function"), STEPS, ids=[f"{Path(file).stem}:{name}" for file, name in STEPS])
def test_every_step_of_a_trip_exists(file: str, function: str) -> None:
    """A breakpoint on it can be set by its path and name."""
    assert function in functions(REPOSITORY / file)


def test_the_page_shows_the_layers_that_import_linter_checks() -> None:
    """From top to bottom."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    (layers,) = (
        contract["layers"] for contract in project["tool"]["importlinter"]["contracts"] if contract["type"] == "layers"
    )

    assert "\n".join(layers) in PAGE


def test_every_module_of_the_app_is_checked_by_import_linter() -> None:
    """A new one is a sibling of the others: it is in no contract until somebody names it."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = project["tool"]["importlinter"]["contracts"]
    layers = {
        name for one in contracts if one["type"] == "layers" for row in one["layers"] for name in row.split(" | ")
    }
    (openers,) = (one["source_modules"] for one in contracts if one["name"].startswith("Programs open the client"))
    modules = {path.stem for path in (REPOSITORY / "app" / "triptych").glob("*.py")} - {"__main__", "cli"}

    assert {f"triptych.{name}" for name in modules} - layers == set()
    assert {f"triptych.{name}" for name in modules} - set(openers) == set()


def test_every_source_root_is_on_the_page() -> None:
    """With its purpose."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))

    assert [root for root in project["tool"]["hatch"]["build"]["dev-mode-dirs"] if f"| `{root}/` |" not in PAGE] == []
