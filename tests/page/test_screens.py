"""Narrow screens, themes, languages, time zones; and the pictures of the views for the documentation."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from PIL import Image
from playwright.sync_api import expect

from tests.page.conftest import wait_until
from tests.page.test_health import send_letters
from tests.page.views import VIEWS, address

if TYPE_CHECKING:
    from tests.page.conftest import OpenPage, StartPage

LARGEST_BYTES: Final = 150_000
PICTURES: Final = {
    "page-wall": ("wall", "dark", 1200, 720),
    "page-feed": ("feed", "dark", 1200, 860),
    "page-events": ("events", "dark", 1200, 720),
    "page-search": ("search", "dark", 1200, 720),
    "page-ask": ("ask", "dark", 1200, 720),
    "page-health": ("health", "dark", 1200, 720),
    "page-light": ("wall", "light", 1200, 720),
    "page-phone": ("feed", "light", 390, 844),
}


@pytest.mark.parametrize("width", [320, 390])
def test_nothing_is_wider_than_a_phone(start_page: StartPage, open_page: OpenPage, tmp_path: Path, width: int) -> None:
    """WCAG 1.4.10: at 320 pixels nothing scrolls in two directions, but tables in their own regions."""
    live = start_page(prepare=send_letters, index=tmp_path / "index")
    page = open_page(live, width=width, height=700)
    for view, wait in VIEWS.items():
        page.goto(live.url + address(live, view))
        wait(page)
        wide = page.evaluate(
            "[document.scrollingElement,"
            " ...document.querySelectorAll('main, .view, .wall-scroller, .health-scroller, .search-scroller')]"
            ".filter(element => element.scrollWidth > element.clientWidth + 1).map(element => element.className)"
        )
        assert (view, wide) == (view, [])
        expect(page.get_by_role("navigation")).to_be_in_viewport()


def test_theme_language_and_time_zone_are_chosen_and_kept(start_page: StartPage, open_page: OpenPage) -> None:
    """The system's are used at first. What is chosen holds for the next visit."""
    live = start_page()
    page = open_page(live, theme="dark")
    VIEWS["wall"](page)
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    tile = page.locator(".tile", has_text="news-24").locator(".tile-time")
    hours = int(tile.inner_text()[:2])

    page.get_by_role("button", name="Settings").click()
    page.get_by_role("combobox", name="Theme").select_option("light")
    page.get_by_role("combobox", name="Time zone").select_option("Asia/Tokyo")
    page.get_by_role("combobox", name="Language").select_option("zh")
    expect(page.get_by_role("dialog", name="设置")).to_be_visible()
    page.keyboard.press("Escape")
    page.reload()

    expect(page.get_by_role("link", name="总览墙")).to_be_visible()
    VIEWS["wall"](page)
    assert page.evaluate("[document.documentElement.dataset.theme, document.documentElement.lang]") == [
        "light",
        "zh-CN",
    ]
    assert int(tile.inner_text()[:2]) in {(hours + 9) % 24, (hours + 10) % 24}


def test_the_language_of_the_browser_is_used_at_first(start_page: StartPage, open_page: OpenPage) -> None:
    """Chinese browsers see Chinese."""
    live = start_page(["yard"], windows=1)
    page = open_page(live, locale="zh-CN")

    expect(page.get_by_role("link", name="运行状况")).to_be_visible()


@pytest.mark.parametrize("name", sorted(PICTURES))
def test_a_view_as_a_picture_for_the_documentation(
    start_page: StartPage, open_page: OpenPage, tmp_path: Path, name: str
) -> None:
    """Into the folder that PAGE_PICTURES names, such as `docs`; else only to see that it works."""
    view, theme, width, height = PICTURES[name]
    live = start_page(prepare=send_letters, index=tmp_path / "index")
    page = open_page(live, address(live, view, "harbour-gate"), width=width, height=height, theme=theme)
    VIEWS[view](page)
    live.publish()  # the size of the pictures is known by now: boxes are drawn
    wait_until(page, "document.querySelector('.box, .event-detail, .finding, .found-row') !== null")
    wait_until(page, "[...document.images].every(image => image.complete && image.naturalWidth > 0)")

    taken = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    to = Path(os.environ.get("PAGE_PICTURES", tmp_path)) / f"{name}.jpg"
    taken.save(to, quality=68, optimize=True, progressive=True)

    assert taken.size == (width, height)
    assert len(taken.resize((100, 100)).getcolors(maxcolors=10_000) or ()) > 50
    assert to.stat().st_size < LARGEST_BYTES
