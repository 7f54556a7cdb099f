"""A feed over time: drag, zoom, play, and why a result is what it is."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from playwright.sync_api import Locator, Page, expect

from tests.page.conftest import wait_until
from triptych.schemas.codec import encode_result
from triptych.schemas.names import result_id, results_topic
from triptych.schemas.results import Result, Revised
from triptych.transport.records import Message

if TYPE_CHECKING:
    from tests.page.conftest import LivePage, OpenPage, StartPage

LANES = ("Pictures", "Sound", "Words", "Objects", "Shares", "Matches")


def shown_span(page: Page) -> str:
    """Return the range that the time line shows, as its heading says."""
    return page.locator(".feed-range").inner_text()


def click_at(lanes: Locator, share: float) -> None:
    """Click on the lane of the sound at a share of its width."""
    box = lanes.bounding_box()
    assert box is not None
    lanes.page.mouse.click(box["x"] + box["width"] * share, box["y"] + 140)


def test_drag_moves_the_time_line_and_the_wheel_zooms_it(start_page: StartPage, open_page: OpenPage) -> None:
    """Also by buttons and keys. What is new is followed again on request."""
    live = start_page()
    page = open_page(live, "#/feed/harbour-gate")
    lanes = page.get_by_role("group", name="Time line of harbour-gate")
    for title in LANES:
        expect(lanes.get_by_text(title, exact=True)).to_be_visible()
    expect(lanes.locator(".strip img").first).to_be_visible()
    expect(lanes.locator(".cue").first).to_be_visible()
    expect(page.get_by_role("button", name="Follow")).to_have_attribute("aria-pressed", "true")
    whole = shown_span(page)
    assert whole.endswith("1 min 30 s")

    lanes.hover()
    page.mouse.wheel(0, -400)
    expect(page.locator(".feed-range")).to_contain_text(re.compile(r"· 4\d s$"))
    zoomed = shown_span(page)
    box = lanes.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 500, box["y"] + 200)
    page.mouse.down()
    page.mouse.move(box["x"] + 700, box["y"] + 200, steps=5)
    page.mouse.up()
    expect(page.locator(".feed-range")).not_to_have_text(zoomed)
    assert shown_span(page)[-6:] == zoomed[-6:]  # as long as before
    expect(page.locator(".moment-none")).to_be_visible()  # a drag is no click
    expect(page.get_by_role("button", name="Follow")).to_have_attribute("aria-pressed", "false")

    dragged = shown_span(page)
    page.keyboard.press("ArrowRight")
    expect(page.locator(".feed-range")).not_to_have_text(dragged)
    page.get_by_role("button", name="Zoom out").click()
    page.keyboard.press("-")
    expect(page.locator(".feed-range")).to_contain_text("min")
    page.keyboard.press("l")
    expect(page.get_by_role("button", name="Follow")).to_have_attribute("aria-pressed", "true")
    followed = shown_span(page)
    live.publish(2)
    expect(page.locator(".feed-range")).not_to_have_text(followed)


def test_a_click_plays_the_moment_with_its_sound(start_page: StartPage, open_page: OpenPage) -> None:
    """The sound plays, the pictures change at their times, and the next window follows."""
    live = start_page()
    page = open_page(live, "#/feed/news-24")
    click_at(page.get_by_role("group", name="Time line of news-24"), 0.4)
    moment = page.get_by_role("complementary")
    expect(moment.locator(".picture img")).to_be_visible()
    expect(page.locator(".band")).to_be_visible()
    first = moment.get_attribute("aria-label")
    first_picture = moment.locator(".picture img").get_attribute("src")
    wait_until(page, "document.querySelector('audio').duration === 2")

    page.keyboard.press("Space")
    wait_until(page, "document.querySelector('audio').currentTime > 0.2")
    expect(moment.get_by_role("button", name="Pause")).to_be_visible()
    expect(moment.locator(".picture img")).not_to_have_attribute("src", first_picture or "")
    expect(moment).not_to_have_attribute("aria-label", first or "")  # the window after
    wait_until(page, "!document.querySelector('audio').paused")  # its sound is loaded, and goes on
    page.keyboard.press("Space")
    expect(moment.get_by_role("button", name="Play")).to_be_visible()
    wait_until(page, "document.querySelector('audio').paused")
    page.keyboard.press("[")
    page.keyboard.press("[")
    expect(moment.get_by_label("Position")).to_have_value("0")
    assert re.search(r"\?at=\d{13}$", page.url)  # an address that one can send to somebody


def test_the_moment_says_why_its_result_is_what_it_is(start_page: StartPage, open_page: OpenPage) -> None:
    """Records with their offsets, attribution by modality and time, revisions, and the whole result."""
    live = start_page()
    start_ns = live.first_ns + 40 * 2_000_000_000
    original = _result(live, 40, start_ns)
    _publish_again(live, original)
    page = open_page(live, f"#/feed/harbour-gate?at={start_ns // 1_000_000 + 500}")
    moment = page.get_by_role("complementary")
    expect(moment.get_by_text("synthetic 1")).to_be_visible()  # the model

    moment.get_by_role("tab", name="Records").click()
    first, last = original.modalities.video.offsets or (0, 0)
    assert last == first + 1
    rows = moment.locator("tbody tr")
    expect(rows.filter(has_text="Video")).to_have_count(2)
    expect(rows.filter(has_text=f"0/{last}").filter(has_text="Video")).to_be_visible()
    page.keyboard.press("ArrowRight")
    expect(moment.get_by_role("tab", name="Attribution")).to_be_focused()
    expect(moment.get_by_text("What each part of the window contributed")).to_be_visible()
    expect(moment.locator(".slices tbody tr")).to_have_count(4)
    page.keyboard.press("ArrowRight")
    expect(moment.get_by_text("Revision 1")).to_be_visible()
    expect(moment.get_by_text("Revision 0")).to_be_visible()
    expect(moment.get_by_text("This window was not sampled for a trace.")).to_be_visible()
    page.keyboard.press("ArrowRight")
    expect(moment.locator("pre")).to_contain_text(f'"id": "{result_id("harbour-gate", start_ns, original.end_ns, 1)}"')


def test_the_moment_someone_said_a_word_is_found_in_three_steps(start_page: StartPage, open_page: OpenPage) -> None:
    """Type the word, press a line, play."""
    live = start_page()
    page = open_page(live, "#/feed/news-24")
    finder = page.get_by_role("region", name="Find words")
    lines = finder.get_by_role("button")
    expect(lines.first).to_be_visible()
    finder.get_by_role("searchbox").fill("antwerp")
    expect(lines.first).to_contain_text("Antwerp")
    assert all("Antwerp" in line for line in lines.all_inner_texts())

    lines.last.click()

    expect(page.get_by_role("complementary").locator(".words")).to_contain_text("a ticket to Antwerp")


def _result(live: LivePage, number: int, start_ns: int) -> Result:
    """Return the result of a window of the first feed as it was published."""
    from triptych.consumers.subscription.subscriber import Subscriber

    with Subscriber.from_transport(live.publisher.transport, pipeline=live.publisher.pipeline) as subscriber:
        found = list(subscriber.results("harbour-gate", since="beginning", until_end=True))
    (result,) = (each for each in found if each.start_ns == start_ns)
    assert found.index(result) == number
    return result


def _publish_again(live: LivePage, original: Result) -> None:
    revised = Result.model_validate(
        dict(original)
        | {
            "id": result_id(original.stream, original.start_ns, original.end_ns, 1),
            "revision": 1,
            "revised": Revised.model_validate({"added": {"video": 3}}),
        }
    )
    publisher = live.publisher.transport.publisher()
    topic = results_topic(live.publisher.pipeline)
    publisher.send(Message(topic, *encode_result(revised, pipeline=live.publisher.pipeline))).result(5)
    publisher.close(5)
