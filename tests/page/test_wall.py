"""The wall: tiles of all feeds, what needs attention first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from playwright.sync_api import Page, expect

from triptych.schemas.perception.matches import Match

if TYPE_CHECKING:
    from tests.page.conftest import LivePage, OpenPage, StartPage


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


def test_what_needs_attention_comes_first_and_filters_leave_out_the_rest(
    start_page: StartPage, open_page: OpenPage
) -> None:
    """A new match moves its feed to the front, but not while the pointer is on the wall."""
    live = start_page()
    surest = {"fire": Match(score=0.99, log_odds=4.6)}
    live.publisher.changes["yard", live.next_window] = {"matches": surest}
    page = open_page(live)
    expect(page.locator(".tile")).to_have_count(8)
    assert names(page)[0] != "yard"

    page.mouse.move(700, 500)
    live.publish()
    expect(page.locator(".tile", has_text="yard").locator(".chip-match")).to_be_visible()
    expect(page.get_by_text("Order held while you look")).to_be_visible()
    assert names(page)[0] != "yard"
    page.mouse.move(700, 20)

    expect(page.locator(".tile-link[data-index='0'] .tile-name")).to_have_text("yard")
    page.keyboard.press("/")
    page.keyboard.type("yard")
    expect(page.locator(".tile")).to_have_count(1)
    expect(page.get_by_text("1 of 8 feeds")).to_be_visible()
    page.keyboard.press("Control+A")
    page.keyboard.type("valley")  # a label of the pictures
    expect(page.locator(".tile")).to_have_count(3)
    page.keyboard.press("Control+A")
    page.keyboard.press("Delete")
    page.get_by_role("combobox", name="Prompt").select_option("steel-bridge")
    expect(page.locator(".tile", has_text="yard")).to_have_count(0)
    expect(page.locator(".tile")).to_have_count(7)


def test_only_the_tiles_in_sight_exist_and_keys_move_between_all(start_page: StartPage, open_page: OpenPage) -> None:
    """Of 200 feeds a few rows are drawn; the arrow keys reach the others."""
    live = start_page([f"camera-{number:03}" for number in range(200)], windows=2)
    page = open_page(live)
    page.get_by_role("combobox", name="Order").select_option("name")

    expect(page.get_by_text("200 feeds")).to_be_visible()
    expect(page.locator(".tile-link[data-index='0']")).to_be_visible()
    assert page.locator(".tile").count() <= 32
    page.locator(".tile-link[data-index='0']").focus()
    for row in range(1, 11):
        page.keyboard.press("ArrowDown")
        expect(page.locator(f".tile-link[data-index='{row * 4}']")).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(page.locator(".tile-link[data-index='41']")).to_be_focused()
    assert page.locator(".tile").count() <= 40
    page.keyboard.press("Enter")

    expect(page.get_by_role("heading", name="camera-041")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator(".wall")).to_be_visible()


def test_a_feed_without_pictures_says_so(start_page: StartPage, open_page: OpenPage) -> None:
    """The state of each modality is told to eyes and to screen readers."""

    def without_pictures(live: LivePage) -> None:
        absent = {"video": {"state": "absent"}, "audio": {"state": "idle"}, "subtitles": {"state": "empty"}}
        live.publisher.changes["yard", 0] = {"modalities": absent, "detections": (), "matches": None, "novelty": None}

    live = start_page(["yard"], without_pictures, windows=1)
    page = open_page(live)

    tile = page.locator(".tile")
    expect(tile.get_by_text("No picture")).to_be_visible()
    expect(tile.get_by_text("Video: missing")).to_be_attached()
    expect(tile.get_by_text("Audio: silent")).to_be_attached()
    expect(tile.locator(".chip", has_text="Modality missing")).to_be_visible()
