"""axe finds no violation of WCAG 2.2 AA in any view, in both themes, on a wide and on a narrow screen."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from playwright.sync_api import Page, expect

from tests.page.test_health import send_letters
from tests.page.views import VIEWS, address
from tools.build_page import REPOSITORY

if TYPE_CHECKING:
    from tests.page.conftest import OpenPage, StartPage

AXE: Final = REPOSITORY / "page" / "node_modules" / "axe-core" / "axe.min.js"
RUN: Final = """async () => {
  const tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
  const found = await axe.run(document, { runOnly: tags, rules: { "target-size": { enabled: true } } });
  return found.violations.map(({ id, nodes }) => [id, nodes.slice(0, 3).map(({ html }) => html.slice(0, 200))]);
}"""


def violations(page: Page) -> list[object]:
    """Return what axe finds. It is put into the page by the browser's debugger, which the policy of the page allows."""
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found: list[object] = page.evaluate(RUN)
    return found


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_no_view_violates_wcag(start_page: StartPage, open_page: OpenPage, tmp_path: Path, theme: str) -> None:
    """Also the dialogs, and the views on a phone."""
    live = start_page(prepare=send_letters, index=tmp_path / "index")
    page = open_page(live, theme=theme)
    found: dict[str, list[object]] = {}
    for view, wait in VIEWS.items():
        page.goto(live.url + address(live, view))
        wait(page)
        found[view] = violations(page)
        page.set_viewport_size({"width": 390, "height": 844})
        wait(page)
        found[f"{view} on a phone"] = violations(page)
        page.set_viewport_size({"width": 1440, "height": 900})
    page.goto(live.url + address(live, "health"))
    VIEWS["health"](page)
    for dialog, button in (("settings", "Settings"), ("help", "Keyboard"), ("letter", "Look at 0/0")):
        page.get_by_role("button", name=button).click()
        expect(page.get_by_role("dialog")).to_be_visible()
        found[dialog] = violations(page)
        page.keyboard.press("Escape")

    assert {place: each for place, each in found.items() if each} == {}


def test_axe_finds_what_is_wrong(start_page: StartPage, open_page: OpenPage) -> None:
    """The test above could not fail if axe did not run."""
    live = start_page(["yard"], windows=1)
    page = open_page(live)
    VIEWS["wall"](page)

    page.evaluate("document.querySelector('.tile-link').replaceChildren()")

    assert [name for name, _ in violations(page)] == ["link-name"]
