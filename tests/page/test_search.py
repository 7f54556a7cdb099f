"""The search: a moment is found by words, narrowed, and opened, with the keyboard alone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from playwright.sync_api import Page, expect

from tests.page.conftest import MemoryOptions, wait_until

if TYPE_CHECKING:
    from tests.page.conftest import OpenPage, StartPage

ROWS = ".found-list > li"
ROWS_IN_VIEW = f"""[...document.querySelectorAll("{ROWS}")].filter((row) => {{
  const [list, own] = [document.querySelector(".search-scroller"), row].map((one) => one.getBoundingClientRect());
  return own.bottom > list.top && own.top < list.bottom;
}})"""
IN_VIEW_HAVE_PICTURES = f"{ROWS_IN_VIEW}.length > 0 && {ROWS_IN_VIEW}.every((row) => row.querySelector('img'))"


def look_for(page: Page, words: str) -> None:
    """Type words into the box, and press Enter."""
    box = page.get_by_role("searchbox", name="What to look for")
    expect(box).to_be_visible()  # "/" would go to the view before, if that was still there
    page.keyboard.press("/")
    expect(box).to_be_focused()
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.type(words)
    page.keyboard.press("Enter")


def test_a_moment_is_found_and_opened_by_keyboard(start_page: StartPage, open_page: OpenPage, tmp_path: Path) -> None:
    """Words, the list, the moment on the time line, and back to what was found."""
    live = start_page(index=tmp_path / "index")
    page = open_page(live)
    expect(page.get_by_role("link", name="Search")).to_be_visible()
    page.keyboard.press("4")
    expect(page.get_by_text("Find a moment")).to_be_visible()
    expect(page.get_by_role("searchbox", name="What to look for")).to_be_focused()

    look_for(page, "tickets Antwerp")

    expect(page.locator(ROWS).first).to_contain_text("a ticket to Antwerp")
    expect(page.locator(f"{ROWS} mark").first).to_have_text("Antwerp")
    expect(page.locator(f"{ROWS} .found-how").first).to_have_text("words")
    expect(page.locator(".search-note")).to_have_text("Searched by words only: the index has no vectors.")
    count = page.locator(ROWS).count()
    expect(page.get_by_role("status").filter(has_text=f"{count} moments")).to_be_attached()
    wait_until(page, "document.querySelectorAll('.found-row .picture img').length > 0")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Escape")  # leaves the box, if it still has the focus
    for key in "jjk":
        page.keyboard.press(key)
    expect(page.locator(".found-row").nth(1)).to_be_focused()  # down twice from the first one, and up once
    feed = page.locator(":focus .found-feed").inner_text()
    page.keyboard.press("Enter")

    expect(page.locator("#feed-title")).to_have_text(feed)
    expect(page.locator(".moment .picture img")).to_be_visible()
    expect(page.locator(".band")).to_be_visible()
    assert "&window=" in page.url
    page.go_back()
    expect(page.locator(ROWS)).to_have_count(count)
    expect(page.get_by_role("searchbox", name="What to look for")).to_have_value("tickets Antwerp")


def test_feed_place_and_time_narrow_what_is_found(start_page: StartPage, open_page: OpenPage, tmp_path: Path) -> None:
    """Each choice searches again. Times are those of the chosen time zone."""
    live = start_page(index=tmp_path / "index")
    page = open_page(live, "#/search?text=gates")
    expect(page.locator(ROWS).first).to_be_visible()
    count = page.locator(ROWS).count()

    page.get_by_role("combobox", name="Filter feeds").select_option("news-24")
    wait_until(page, f"document.querySelectorAll('{ROWS}').length < {count}")
    for feed in page.locator(f"{ROWS} .found-feed").all_inner_texts():
        assert feed == "news-24"
    page.get_by_role("combobox", name="Where").select_option("seen")
    expect(page.get_by_text("Nothing was found")).to_be_visible()
    page.get_by_role("combobox", name="Where").select_option("said")
    expect(page.locator(ROWS).first).to_be_visible()
    page.get_by_role("combobox", name="Time").select_option("hour")
    expect(page.locator(ROWS).first).to_be_visible()

    page.get_by_role("button", name="Settings").click()
    page.get_by_role("combobox", name="Time zone").select_option("Asia/Tokyo")
    page.keyboard.press("Escape")
    page.get_by_role("combobox", name="Time", exact=True).select_option("between")
    local = "new Date(%d + 9 * 3600000).toISOString().slice(0, 19)"
    begin, end = (page.evaluate(local % (live.first_ns // 10**6 + shift)) for shift in (-5_000, 200_000))
    page.get_by_label("From").fill(begin)
    page.get_by_label("To", exact=True).fill(end)
    expect(page.locator(ROWS).first).to_be_visible()
    page.get_by_label("To", exact=True).fill(begin)
    expect(page.get_by_text("Nothing was found")).to_be_visible()


def test_what_was_published_since_is_found_and_markup_is_text(
    start_page: StartPage, open_page: OpenPage, tmp_path: Path
) -> None:
    """The index grows while the page runs. A search in the address is run at once, in the language of the browser."""
    live = start_page(["yard"], windows=3, index=tmp_path / "index")
    page = open_page(live, "#/search?text=%3Cb%3E%5B(*", locale="zh-CN")
    expect(page.get_by_text("没有找到")).to_be_visible()
    live.publish(40)
    live.write_index()

    page.get_by_role("searchbox", name="搜索内容").fill("港口")
    page.get_by_role("button", name="搜索").click()

    expect(page.locator(f"{ROWS} mark").first).to_have_text("港口")
    expect(page.locator(".search-note")).to_have_text("仅按词语搜索: 索引中没有向量。")


def test_a_page_without_an_index_offers_no_search(start_page: StartPage, open_page: OpenPage) -> None:
    """And says why, where an address asks for one. Where the index is missing, too."""
    live = start_page(["yard"], windows=1)
    page = open_page(live, "#/search?text=gates")
    expect(page.get_by_text("no index to search")).to_be_visible()
    expect(page.get_by_role("link", name="Health")).to_be_visible()
    expect(page.get_by_role("link", name="Search")).to_have_count(0)


def test_an_index_that_is_not_there_yet_is_said_to_be_missing(
    start_page: StartPage, open_page: OpenPage, tmp_path: Path
) -> None:
    """The same button finds it when it is there."""
    live = start_page(["yard"], lambda live: setattr(live, "index", tmp_path / "index"), windows=40)
    page = open_page(live, "#/search?text=gates")
    expect(page.get_by_role("alert")).to_contain_text("there is no index that can be searched")

    live.write_index()
    page.get_by_role("button", name="Search").click()

    expect(page.locator(ROWS).first).to_be_visible()


def test_pictures_of_older_moments_are_read_when_they_come_into_view(
    start_page: StartPage, open_page: OpenPage, tmp_path: Path
) -> None:
    """Each costs a read of a whole minute from the topics: those that nobody looks at are not asked for."""
    names = ("yard", "canal-2", "news-24")
    live = start_page(
        names,
        lambda live: setattr(live, "memory", MemoryOptions(since="beginning", windows=1)),
        windows=300,
        index=tmp_path / "index",
    )
    page = open_page(live)
    expect(page.get_by_role("link", name="Search")).to_be_visible()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/windows/" in request.url else None)
    with page.expect_response(lambda response: "/api/search?" in response.url) as answer:
        page.keyboard.press("4")
        look_for(page, "gates")
    moments = answer.value.json()["moments"]
    without = [moment["window_id"] for moment in moments if moment["picture"] is None]
    assert len(without) > 12
    wait_until(page, IN_VIEW_HAVE_PICTURES)
    page.wait_for_timeout(500)  # in which the others would be asked for
    in_view = page.evaluate(f"{ROWS_IN_VIEW}.length")
    assert 0 < len(asked) <= in_view + 1 < len(without)  # a row at the edge may be in view for the browser alone

    page.locator(ROWS).last.scroll_into_view_if_needed()

    wait_until(page, IN_VIEW_HAVE_PICTURES)
    expect(page.locator(ROWS).last.locator("img")).to_be_visible()
    assert len(asked) == len(set(asked)) <= len(without)
