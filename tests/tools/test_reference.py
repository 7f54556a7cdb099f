"""The generated reference is current and complete."""

from __future__ import annotations

import pytest

from tools.reference import log_events, python_api
from tools.reference.pages import FOLDER, MAKERS, page
from tools.structure import read_modules


@pytest.mark.parametrize("name", MAKERS)
def test_the_page_is_current(name: str) -> None:
    """`python -m tools.reference` writes it again."""
    assert (FOLDER / name).read_text(encoding="utf-8") == page(name)


def test_every_log_event_has_a_name_in_snake_case() -> None:
    """One style in all programs, so that a search finds them."""
    names = {call.name for call in log_events.calls(read_modules())}

    assert len(names) > 50
    assert {name for name in names if not log_events.SNAKE_CASE.fullmatch(name)} == set()


def test_an_event_without_a_meaning_and_a_meaning_without_an_event_are_found() -> None:
    """Renaming an event in the code alone fails the generator."""
    assert log_events.mismatches({"source_lost"}, {"source_gone"}) == [
        "log_events.toml: no meaning of the event source_lost",
        "log_events.toml: nothing logs the event source_gone",
    ]


def test_the_sections_of_a_docstring_become_lists() -> None:
    """Google style in, Markdown out."""
    docstring = """Do one thing.

    Args:
        url: where it is,
            in full.

    Raises:
        ValueError: It is nowhere.
    """

    assert python_api.prose(docstring).splitlines() == [
        "Do one thing.",
        "",
        "**Args**",
        "",
        "- `url`: where it is,",
        "  in full.",
        "",
        "**Raises**",
        "",
        "- `ValueError`: It is nowhere.",
    ]
