"""Questions: asked and followed up with the keyboard alone, answered with moments, cancelled, and refused."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from playwright.sync_api import Locator, Page, expect

from tests.consumers.page.conftest import until
from tests.consumers.page.questions_world import SlowLookups
from tests.page.conftest import AccessOptions
from tests.page.test_hostile import MARKUP
from tests.scripted_endpoint import scripted_endpoint
from triptych.consumers.asking.grounded import GroundedWriter
from triptych.consumers.describing.chat.endpoint import HttpChatEndpoint
from triptych.consumers.page.web.access import new_token

if TYPE_CHECKING:
    import pytest

    from tests.page.conftest import LivePage, OpenPage, StartPage

FEEDS = ("yard", "news-24", "canal-2")
WHEN = "When did someone mention the ticket, and what was on screen?"


def ask(page: Page, question: str) -> Locator:
    """Type a question into the box, and press Enter. Return the newest exchange."""
    box = page.get_by_label("Your question")
    box.focus()
    box.fill(question)
    page.keyboard.press("Enter")
    newest = page.locator(".exchange").first
    expect(newest.get_by_role("heading")).to_have_text(question)
    return newest


def test_a_question_is_asked_opened_and_followed_up_by_keyboard(
    start_page: StartPage, open_page: OpenPage, tmp_path: Path
) -> None:
    """The answer, its moments, one of them on the time line, back to the answer, and the next question."""
    live = start_page(FEEDS, index=tmp_path / "index")
    page = open_page(live)
    expect(page.get_by_role("link", name="Ask")).to_be_visible()
    page.keyboard.press("5")
    expect(page.get_by_text("Ask what was seen, heard and said")).to_be_visible()
    expect(page.get_by_label("Your question")).to_be_focused()
    page.keyboard.type(WHEN)
    page.keyboard.press("Enter")

    newest = page.locator(".exchange").first
    expect(newest.locator(".exchange-answered")).to_contain_text("Seen:")
    expect(newest.locator(".found-words", has_text="a ticket to Antwerp").first).to_be_visible()
    expect(newest.locator(".picture img").first).to_be_visible()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("j")
    focused = page.locator(":focus")
    feed, numbers = focused.locator(".found-feed").inner_text(), focused.locator(".cite").all_inner_texts()
    assert numbers == ["3", "4", "5"], "what was said in the second window, and the two things that were shown"
    page.keyboard.press("Enter")
    expect(page.locator("#feed-title")).to_have_text(feed)
    expect(page.locator(".band")).to_be_visible()
    assert "&window=" in page.url

    page.go_back()
    expect(page.locator(".exchange-question")).to_have_text(WHEN)
    page.keyboard.press("j")
    expect(page.locator(":focus .found-feed")).to_be_visible()  # not in the box, which would have taken the key
    expect(newest.locator(".found-row")).to_have_count(5)
    newest.get_by_role("button", name="Show all").click()
    expect(newest.locator(".found-row").nth(5)).to_be_visible()
    following = ask(page, "And after that?")
    expect(following.locator(".exchange-answered")).to_be_visible()
    expect(page.locator(".exchange")).to_have_count(2)
    page.get_by_role("button", name="New conversation").click()
    alone = ask(page, "And after that?")
    expect(alone.locator(".exchange-not_understood")).to_contain_text("I do not understand")


def test_a_conversation_that_the_server_forgot_is_named_so(
    start_page: StartPage, open_page: OpenPage, tmp_path: Path
) -> None:
    """It is in memory, and a restart ends it: a question that refers to an answer must not be answered silently."""
    live = start_page(["yard"], index=tmp_path / "index")
    page = open_page(live, "#/ask")
    expect(ask(page, WHEN).locator(".exchange-answered")).to_be_visible()
    following = ask(page, "How often was the ticket mentioned?")
    expect(following.locator(".exchange-answered")).to_be_visible()
    expect(page.get_by_text("no longer remembers")).to_have_count(0)
    live.stop()
    live.start()
    alone = ask(page, "And after that?")
    expect(alone.locator(".exchange-note")).to_contain_text("no longer remembers the previous answer")
    expect(alone.locator(".exchange-not_understood")).to_be_visible()


def test_the_examples_are_about_what_the_feeds_show(start_page: StartPage, open_page: OpenPage, tmp_path: Path) -> None:
    """So most of them find something."""
    live = start_page(["yard"], index=tmp_path / "index")
    page = open_page(live, "#/ask")
    expect(page.locator(".ask-examples button").first).not_to_contain_text("a dog")
    example = page.locator(".ask-examples button").first.inner_text()
    page.locator(".ask-examples button").first.click()
    newest = page.locator(".exchange").first
    expect(newest.get_by_role("heading")).to_have_text(example)
    expect(newest.locator(".exchange-answered")).to_be_visible()


def test_what_is_not_found_or_understood_is_said_with_examples(
    start_page: StartPage, open_page: OpenPage, tmp_path: Path
) -> None:
    """An example is a question that is understood. A search for a question offers to ask it."""
    live = start_page(FEEDS, index=tmp_path / "index")
    page = open_page(live, "#/search?text=When+was+a+giraffe+seen%3F")
    page.get_by_role("link", name="Ask this as a question").click()
    expect(page.get_by_label("Your question")).to_have_value("When was a giraffe seen?")
    page.keyboard.press("Enter")
    expect(page.locator(".exchange-not_found")).to_contain_text("Not found")
    expect(page.get_by_label("Your question")).to_have_value("")
    assert page.url.endswith("#/ask")

    newest = ask(page, "Explain the meaning of it all.")
    expect(newest.locator(".exchange-not_understood")).to_contain_text("I can answer when")
    newest.get_by_role("button", name="Was a car never seen?").click()
    expect(page.locator(".exchange").first.locator(".exchange-answer")).to_contain_text(
        "Never: nothing that fits the question shows or says “car”."
    )


def test_questions_in_chinese(start_page: StartPage, open_page: OpenPage, tmp_path: Path) -> None:
    """The page and the answer are; a question in English is answered in English."""
    live = start_page(FEEDS, index=tmp_path / "index")
    page = open_page(live, "#/ask", locale="zh-CN")
    page.get_by_label("你的问题").fill("谁提到了港口?")
    page.get_by_role("button", name="提问").click()
    expect(page.locator(".exchange-answer")).to_contain_text("没有找到:有人说了“港口”".replace(":", "\uff1a"))
    page.get_by_label("你的问题").fill("什么时候提到了港口?")
    page.get_by_role("button", name="提问").click()
    expect(page.locator(".exchange").first.locator(".found-words").first).to_contain_text("港口")
    page.get_by_label("你的问题").fill("How often was the ticket mentioned?")
    page.get_by_role("button", name="提问").click()
    expect(page.locator(".exchange-answer").first).to_contain_text("times (ticket)")


def test_a_slow_answer_shows_progress_and_is_cancelled(
    start_page: StartPage, open_page: OpenPage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server ends it too, so that the next question is answered."""
    live = start_page(["yard"], index=tmp_path / "index")
    slow = SlowLookups(monkeypatch)
    page = open_page(live, "#/ask")
    newest = ask(page, WHEN)
    expect(newest.get_by_role("progressbar")).to_be_visible()
    assert slow.begun.acquire(timeout=60)
    expect(page.get_by_role("button", name="Ask", exact=True)).to_be_disabled()
    page.keyboard.press("Escape")
    expect(newest).to_contain_text("Cancelled.")
    until(lambda: slow.ended == [True])  # the page says so before the server knows
    slow.go_on.set()
    newest.get_by_role("button", name="Ask again").click()
    expect(page.locator(".exchange").first.locator(".exchange-answered")).to_be_visible()
    assert slow.ended == [True, False]


def test_a_user_is_answered_from_their_own_feeds(start_page: StartPage, open_page: OpenPage, tmp_path: Path) -> None:
    """And is told that there may be others."""
    token, hashed = new_token()
    users = tmp_path / "users.toml"
    users.write_text(
        f'[[user]]\nname = "ada"\ntoken_sha256 = "{hashed}"\nroles = ["see"]\nfeeds = ["yard"]\n', encoding="utf-8"
    )
    live = start_page(FEEDS, lambda live: setattr(live, "access", AccessOptions(users=users)), index=tmp_path / "index")
    page = open_page(live, "#/ask")
    page.get_by_label("Token").fill(token)
    page.keyboard.press("Enter")
    expect(page.get_by_label("Your question")).to_be_visible()
    newest = ask(page, "How often was the ticket mentioned?")
    expect(newest).to_contain_text("Only the feeds that you may see were looked at.")
    assert set(newest.locator(".found-feed").all_inner_texts()) == {"yard"}
    named = ask(page, "When was the ticket mentioned on camera news-24?")
    expect(named.locator(".exchange-not_found")).to_contain_text("no stream called news-24. It has: yard.")


def test_what_a_feed_and_a_model_say_is_text_and_citations_are_links(
    start_page: StartPage, open_page: OpenPage, tmp_path: Path
) -> None:
    """What the model says in a quotation is markup of the feed; a number in brackets leads to the moment."""
    said = f"The ticket: {MARKUP.replace(chr(34), '')}"  # a quotation mark would end the quotation

    def poison(live: LivePage) -> None:
        at_ns = live.first_ns + 2_000_000_000
        words: dict[str, Any] = {"text": said, "start_ns": at_ns, "end_ns": at_ns + 1_000_000_000}
        live.publisher.changes["yard", 1] = {"observations": {"words": [words], "language": "en"}}

    with scripted_endpoint() as endpoint:
        endpoint.answer = lambda _: f"Someone mentioned the ticket: “{said}” [1].\nAll is well."
        writer = GroundedWriter(HttpChatEndpoint(endpoint.url, key=None, timeout_s=10), "m")

        def prepare(live: LivePage) -> None:
            poison(live)
            live.writer = writer

        live = start_page(["yard"], prepare, windows=3, index=tmp_path / "index")
        page = open_page(live, "#/ask", width=390, height=800)
        newest = ask(page, "When did someone mention the ticket?")
        expect(newest.locator(".exchange-answered")).to_contain_text("<script>")
        expect(newest).to_contain_text("By rules alone:")
        expect(newest).to_contain_text("1 sentence of the language model was dropped")
        assert page.locator("main script, main img[src='x'], main [onerror]").count() == 0
        assert page.evaluate("document.scrollingElement.scrollWidth <= innerWidth")
        page.get_by_role("link", name="Source 1").click()
        expect(page.locator("#feed-title")).to_have_text("yard")
        assert "owned" not in page.title()


def test_a_page_without_an_index_offers_no_questions(start_page: StartPage, open_page: OpenPage) -> None:
    """And says why, where an address asks one."""
    page = open_page(start_page(["yard"], windows=1), "#/ask?text=When%3F")
    expect(page.get_by_text("no index to search")).to_be_visible()
    expect(page.get_by_role("link", name="Ask")).to_have_count(0)


def test_a_page_whose_index_has_no_graph_is_searched_only(
    start_page: StartPage, open_page: OpenPage, tmp_path: Path
) -> None:
    """As one on a server. Nothing leads to questions, and their address says what they need."""
    live = start_page(["yard"], lambda live: setattr(live, "has_desk", False), windows=1, index=tmp_path / "index")
    page = open_page(live, "#/search?text=When+was+a+dog+seen%3F")
    expect(page.get_by_role("link", name="Search")).to_be_visible()
    expect(page.get_by_text("Nothing was found")).to_be_visible()
    for name in ("Ask", "Ask this as a question"):
        expect(page.get_by_role("link", name=name)).to_have_count(0)
    page.goto(live.url + "#/ask")
    expect(page.get_by_text("its index is on a server")).to_be_visible()
