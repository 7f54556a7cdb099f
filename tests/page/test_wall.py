"""The wall: tiles of all feeds, what needs attention first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from playwright.sync_api import Page, expect

if TYPE_CHECKING:
    from tests.page.conftest import OpenPage, StartPage


def names(page: Page) -> list[str]:
    """Return the names of the tiles in their order."""
    indexed = page.locator(".tile-link").evaluate_all(
        "links => links.map(link => [Number(link.dataset.index), link.querySelector('.tile-name').textContent])"
    )
    return [name for _, name in sorted(indexed)]


def test_each_feed_has_a_tile_with_picture_words_and_lines(start_page: StartPage, open_page: OpenPage) -> None:
    """The newest window of each feed is shown, and the next one as it comes."""
    live = start_page()
    page = open_page(live)

    expect(page.locator(".tile")).to_have_count(8)
    expect(page.locator(".tile .picture img").first).to_be_visible()
    expect(page.locator(".tile").first.locator(".sparkline-line")).to_have_count(3)
    tile = page.locator(".tile", has_text="news-24")
    before = tile.locator(".tile-time").inner_text()

    live.publish()

    expect(tile.locator(".tile-time")).not_to_have_text(before)
    expect(page.locator(".connection")).to_have_text("Live")
