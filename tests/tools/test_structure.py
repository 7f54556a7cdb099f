"""The structure script measures what it says, and its committed numbers stand in the documentation."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tools import structure
from tools.structure import Measure, Module


def module(text: str, path: str = "worker/triptych/worker/example.py") -> Module:
    """Return a module of the given source text."""
    return Module(Path(path), "triptych.worker.example", text)


def function(text: str) -> structure.Function:
    """Return the function that the source text defines."""
    (node,) = ast.parse(text).body
    assert isinstance(node, ast.FunctionDef)
    return node


def test_the_docstring_does_not_count_as_length() -> None:
    """Documentation must not be what makes a function long."""
    node = function('def f() -> int:\n    """One.\n\n    Two.\n    """\n    return 1\n')

    assert structure.length(node) == 2


def test_self_is_no_parameter() -> None:
    """The caller does not pass it. Keyword-only parameters count."""
    assert structure.parameters(function("def f(self, a, /, b, *, c): ...")) == ["a", "b", "c"]


def test_a_class_name_used_twice_is_found_with_its_modules() -> None:
    """In one module or in two."""
    found = structure.duplicate_classes([module("class Plan: ...\nclass Other: ...\n"), module("class Plan: ...\n")])

    assert found == ["Plan in triptych.worker.example, triptych.worker.example"]


def test_a_cycle_is_found_and_a_diamond_is_none() -> None:
    """Modules that import each other, directly or through others."""
    diamond = {"a": {"b", "c"}, "b": {"d"}, "c": {"d"}, "d": set[str]()}
    ring = {"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}

    assert structure.cycles(diamond) == []
    assert structure.cycles(ring) == [("a", "b", "c")]


@pytest.mark.parametrize(
    ("docstring", "shaped"),
    [
        ("Return the mean of frames: uint8 [B, T, H, W, 3].", 1),
        ("Return a scalar.", 1),
        ("Return the mean.", 0),
    ],
)
def test_a_docstring_about_a_tensor_counts_if_it_names_a_shape(docstring: str, shaped: int) -> None:
    """A function without tensors does not count at all."""
    text = f'def f(x: Tensor) -> Tensor:\n    """{docstring}"""\ndef g(x: int) -> int:\n    """Return one."""\n'

    assert structure.array_docstrings([module(text)]) == (1, shaped)


def test_a_test_mirrors_the_module_that_it_is_named_after(tmp_path: Path) -> None:
    """In the same folder below `tests/` as the module below `triptych`."""
    for name in ("worker/test_example.py", "worker/test_other.py"):
        path = tmp_path / "tests" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()

    assert structure.mirrored_tests([module("")], tmp_path) == (1, ["tests/worker/test_other.py"])


def test_the_numbers_stand_beside_the_committed_ones() -> None:
    """A measure that is new has none."""
    lines = structure.table({"modules": Measure(12), "import cycles": Measure(1, 0)}, {"modules": 11}).splitlines()

    assert [line.split() for line in lines] == [
        ["now", "before", "limit"],
        ["modules", "12", "11"],
        ["import", "cycles", "1", "-", "0"],
    ]


def test_the_page_shows_the_committed_numbers() -> None:
    """`python -m tools.structure --update` writes both."""
    page = structure.PAGE.read_text(encoding="utf-8")

    assert structure.section(page) == structure.markdown(structure.committed())


def test_replacing_the_section_keeps_the_rest_of_the_page() -> None:
    """Text before and after it stays."""
    page = f"before\n{structure.BEGIN}\n\nold\n\n{structure.END}\nafter\n"

    assert structure.with_section(page, "new") == f"before\n{structure.BEGIN}\n\nnew\n\n{structure.END}\nafter\n"
