"""The text of a cursor, and what is none."""

from __future__ import annotations

import pytest

from triptych.consumers.page.state.page_cursor import PageCursor, Place, parse_page_cursor
from triptych.schemas.errors import UsageError


def test_a_cursor_is_read_back_from_its_text() -> None:
    """The text needs no escaping in a URL, a header or a line of an event stream."""
    cursor = PageCursor("e", {"r0": Place(17, 1_000_000), "f": Place(-1, -1)})
    assert parse_page_cursor(str(cursor)) == cursor
    assert str(cursor).replace("-", "").replace("_", "").replace(".", "").isalnum()


@pytest.mark.parametrize(
    "text",
    ["", "page.", "page.e30", "kafka.W10", "page.%", "page.WyJlIix7InIwIjpbMSwidCJdfV0", "page." + "A" * 20_000, "ä"],
)
def test_anything_else_is_refused(text: str) -> None:
    """It comes from the network."""
    with pytest.raises(UsageError, match="load the wall again"):
        parse_page_cursor(text)
