"""The views of the page, each in a state with much on it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from playwright.sync_api import Page, expect

if TYPE_CHECKING:
    from tests.page.conftest import LivePage


def _wall(page: Page) -> None:
    expect(page.locator(".tile .picture img").first).to_be_visible()


def _feed(page: Page) -> None:
    expect(page.locator(".strip img").first).to_be_visible()
    expect(page.locator(".moment .picture img")).to_be_visible()
    expect(page.locator(".band")).to_be_visible()


def _events(page: Page) -> None:
    expect(page.locator(".event-detail .picture img")).to_be_visible()


def _health(page: Page) -> None:
    expect(page.locator(".finding").first).to_be_visible()
    expect(page.locator(".letters tbody tr").first).to_be_visible()


def _search(page: Page) -> None:
    expect(page.locator(".found-row .picture img").first).to_be_visible()


def _ask(page: Page) -> None:
    """Ask the question in the box, if none was asked."""
    expect(page.get_by_label("Your question")).to_be_visible()
    if page.locator(".exchange").count() == 0:
        page.get_by_role("button", name="Ask", exact=True).click()
    expect(page.locator(".exchange-moments .picture img").first).to_be_visible()


VIEWS: Final[dict[str, Callable[[Page], None]]] = {
    "wall": _wall,
    "feed": _feed,
    "events": _events,
    "health": _health,
    "search": _search,
    "ask": _ask,
}
"""Waits until a view is complete, by its name. The search and the questions need a page with an index."""


def address(live: LivePage, view: str, feed: str = "news-24") -> str:
    """Return the address of a view; that of the feed has a moment chosen."""
    if view == "search":
        return "#/search?text=ticket+to+Antwerp"
    if view == "ask":
        return "#/ask?text=When+did+someone+ask+for+a+ticket+to+Antwerp%2C+and+what+was+on+screen%3F"
    at_ms = (live.first_ns + (live.next_window - 13) * 2_000_000_000) // 1_000_000 + 500
    return f"#/feed/{feed}?at={at_ms}" if view == "feed" else f"#/{view}"
