"""Names, words and labels of a feed are text, whatever they hold; nothing of them is ever markup or script."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from playwright.sync_api import expect

from tests.page.views import VIEWS, address

if TYPE_CHECKING:
    from tests.page.conftest import LivePage, OpenPage, StartPage

NAMES: Final = (".", "..", "-", "a" * 128, "__proto__", "constructor", "yard")
MARKUP: Final = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"
RIGHT_TO_LEFT: Final = "\u202e\u0645\u0631\u062d\u0628\u0627 \u2067abc"  # "hello", with an override and an isolate
EMOJI: Final = "👩‍👩‍👧‍👦🏳️‍🌈" * 20
LONG: Final = "W" * 200


def poison(live: LivePage) -> None:
    """Let the newest windows say and show what could be taken for markup."""
    start_ns = live.first_ns
    for number, text in enumerate((MARKUP, RIGHT_TO_LEFT, EMOJI, LONG)):
        window_ns = start_ns + (7 - number) * 2_000_000_000
        live.publisher.changes["yard", 7 - number] = {
            "observations": {
                "words": [{"text": text, "start_ns": window_ns, "end_ns": window_ns + 1_000_000_000}],
                "visual": [{"label": MARKUP, "score": 0.99}, {"label": LONG, "score": 0.98}],
                "sound": [{"label": RIGHT_TO_LEFT, "score": 0.99}],
                "language": "en",
            },
            "counts": {MARKUP: {"median": 1, "largest": 3}, "__proto__": {"median": 1, "largest": 2}},
            "matches": {MARKUP: {"score": 0.97, "log_odds": 3.0}, LONG: {"score": 0.9, "log_odds": 2.0}},
            "predictions": {MARKUP: [{"label": EMOJI, "score": 0.5}]},
            "quality": {"flags": [LONG]},
        }


def test_what_a_feed_says_is_text(start_page: StartPage, open_page: OpenPage) -> None:
    """In each view. The browser ran nothing, loaded nothing, and nothing is wider than its place."""
    live = start_page(NAMES, poison, windows=8)
    live.next_window = 8
    asked: list[str] = []
    page = open_page(live, "#/wall")
    page.on("request", lambda request: asked.append(request.url))
    expect(page.locator(".tile")).to_have_count(len(NAMES))
    expect(page.locator(".tile", has_text="yard").locator(".tile-words")).to_contain_text("<script>")

    at = f"#/feed/yard?at={(live.first_ns + 15_000_000_000) // 1_000_000}"
    for view in ("wall", "events", at):
        page.goto(live.url + (view if view.startswith("#") else address(live, view)))
        if view == at:
            VIEWS["feed"](page)
            expect(page.get_by_role("complementary").locator(".words")).to_contain_text("onerror")
            page.get_by_role("tab", name="Result").click()
        else:
            VIEWS[view](page)
        assert page.locator("main script, main img[src='x'], main [onerror]").count() == 0
        assert page.evaluate("document.scrollingElement.scrollWidth <= innerWidth")
    assert "owned" not in page.title()
    assert [url for url in asked if not url.startswith(live.url)] == []


def test_each_name_that_a_feed_may_have_opens(start_page: StartPage, open_page: OpenPage) -> None:
    """`.` and `..` are not taken for folders."""
    live = start_page(NAMES, windows=8)
    page = open_page(live)
    for name in NAMES:
        page.goto(f"{live.url}#/feed/{name}")
        expect(page.get_by_role("heading", name=name, exact=True)).to_be_visible()
        expect(page.locator(".strip img").first).to_be_visible()
