"""The review of events: by keyboard, one after the other."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from playwright.sync_api import Page, Route, expect

from tests.page.conftest import PIPELINE, AccessOptions, LivePage, wait_until
from triptych.consumers.page.web.access import new_token
from triptych.consumers.prompts.prompt_topic import read_feedback
from triptych.schemas.perception.matches import Match
from triptych.schemas.perception.prompts import Feedback

if TYPE_CHECKING:
    from tests.page.conftest import OpenPage, StartPage


def open_count(page: Page) -> int:
    """Return how many events the list holds."""
    return int(page.locator(".events-list li").first.get_attribute("aria-setsize") or "0")


def test_events_are_judged_with_four_keys(start_page: StartPage, open_page: OpenPage) -> None:
    """An answer becomes feedback for the prompt, and stays where it was given until the list is loaded again."""
    live = start_page()
    page = open_page(live, "#/events")
    chosen = page.locator(".event-row[aria-current='true']")
    expect(chosen).to_be_visible()
    events = open_count(page)
    assert events >= 4
    expect(page.locator(".event-detail .picture img")).to_be_visible()
    first = page.locator(".event-detail").get_attribute("data-event")

    page.keyboard.press("j")
    expect(page.locator(".event-detail")).not_to_have_attribute("data-event", first or "")
    page.keyboard.press("k")
    expect(page.locator(".event-detail")).to_have_attribute("data-event", first or "")
    page.keyboard.press("y")
    expect(page.locator(f".events-list li[data-event='{first}'] .answer-yes")).to_be_visible()
    expect(page.locator(".event-detail")).not_to_have_attribute("data-event", first or "")
    second = page.locator(".event-detail").get_attribute("data-event")
    page.keyboard.press("n")
    expect(page.locator(f".events-list li[data-event='{second}'] .answer-no")).to_be_visible()

    page.get_by_role("button", name="Answered").click()
    expect(page.locator(".events-list li")).to_have_count(2)
    page.get_by_role("button", name="Open", exact=True).click()
    expect(page.locator(".events-list li").first).to_have_attribute("aria-setsize", str(events - 2))
    given = [(each.prompt, each.answer) for each in _feedback(live)]
    assert given == [("fire", "yes"), ("fire", "no")]


def test_the_buttons_keep_their_place_from_one_event_to_the_next(start_page: StartPage, open_page: OpenPage) -> None:
    """Whoever answers with the mouse need not move it, whatever stands above the buttons."""
    live = start_page()
    page = open_page(live, "#/events")
    expect(page.locator(".event-detail .picture img")).to_be_visible()
    place = page.locator(".button-no").bounding_box()
    above = set()

    for number in range(1, open_count(page) + 1):
        row = page.locator(".events-list li:has([aria-current='true'])")
        expect(row).to_have_attribute("aria-posinset", str(number))
        assert page.locator(".button-no").bounding_box() == place
        above.add(page.locator(".event-detail > :is(.words, .group-answer)").count())
        page.keyboard.press("j")

    assert len(above) > 1


def test_enter_opens_the_moment_of_an_event(start_page: StartPage, open_page: OpenPage) -> None:
    """One key leads from the event to its pictures and its sound, and the browser's button back."""
    live = start_page()
    page = open_page(live, "#/events")
    expect(page.locator(".event-row[aria-current='true']")).to_be_visible()

    page.keyboard.press("Enter")

    expect(page.get_by_role("complementary").locator(".picture img")).to_be_visible()
    expect(page.locator(".band")).to_be_visible()
    page.go_back()
    expect(page.locator(".events-list")).to_be_visible()


def test_twenty_events_are_reviewed_with_twenty_keys(start_page: StartPage, open_page: OpenPage) -> None:
    """Each answer leads to the next open event."""
    live = start_page([f"camera-{number:02}" for number in range(40)])
    page = open_page(live, "#/events")
    expect(page.locator(".event-row[aria-current='true']")).to_be_visible()
    assert open_count(page) >= 20

    for number in range(20):
        page.keyboard.press("yn"[number % 2])

    expect(page.get_by_text("open events")).to_be_attached()
    wait_until(page, "document.querySelectorAll('.notice-bad').length === 0")
    page.get_by_role("button", name="Answered").click()
    expect(page.locator(".events-list li").first).to_have_attribute("aria-setsize", "20")


def test_events_of_one_prompt_and_feed_are_answered_alike(start_page: StartPage, open_page: OpenPage) -> None:
    """After a question, which can be cancelled. Events of another feed stay open."""

    def prepare(live: LivePage) -> None:
        for name in ("yard", "canal-2"):
            for window in range(12):
                fire = Match(score=0.9 if window % 3 == 0 else 0.0, log_odds=0.0)
                live.publisher.changes[name, window] = {"matches": {"fire": fire}}

    live = start_page(["yard", "canal-2"], prepare, windows=12)
    page = open_page(live, "#/events")
    expect(page.locator(".event-row[aria-current='true']")).to_be_visible()
    assert open_count(page) == 8
    feed = page.locator(".event-row[aria-current='true'] .event-feed bdi").inner_text()

    page.keyboard.press("Shift+N")
    expect(page.get_by_role("dialog")).to_contain_text(f"all 4 open events of “fire” on {feed}")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert _feedback(live) == []
    page.get_by_role("button", name="No to all 4").click()
    expect(page.get_by_role("button", name="No to all 4").last).to_be_focused()
    page.keyboard.press("Enter")

    expect(page.locator(".notice-good")).to_contain_text("4 events were answered: No")
    assert [(each.stream, each.answer) for each in _feedback(live)] == [(feed, "no")] * 4
    chosen = page.locator(".event-row[aria-current='true'] .event-feed bdi")
    expect(chosen).not_to_have_text(feed)
    page.get_by_role("button", name="Answered").click()
    expect(page.locator(".events-list li")).to_have_count(4)


def fires(live: LivePage) -> None:
    """Let the feed yard have an event in every third window."""
    for window in range(36):
        fire = Match(score=0.9 if window % 3 == 0 else 0.0, log_odds=0.0)
        live.publisher.changes["yard", window] = {"matches": {"fire": fire}}


def test_what_another_user_has_answered_meanwhile_keeps_that_answer(start_page: StartPage, open_page: OpenPage) -> None:
    """Between the question and its answer, the group gets smaller."""
    live = start_page(["yard"], fires, windows=12)
    page = open_page(live, "#/events")
    expect(page.locator(".event-row[aria-current='true']")).to_be_visible()
    shown = page.locator(".events-list li").last.get_attribute("data-event")
    page.keyboard.press("Shift+N")
    expect(page.get_by_role("dialog")).to_contain_text("all 4 open events")
    headers = {"X-Triptych": "1", "Content-Type": "application/json"}
    page.request.post(f"{live.url}api/review/{shown}", data={"answer": "yes"}, headers=headers)
    expect(page.locator(".events-list li")).to_have_count(3)
    page.keyboard.press("Enter")
    expect(page.locator(".notice-good")).to_contain_text("3 events were answered: No")
    assert sorted(each.answer for each in _feedback(live)) == ["no", "no", "no", "yes"]


def test_no_answer_of_a_group_is_sent_in_the_name_of_the_next_user(
    start_page: StartPage, open_page: OpenPage, tmp_path: Path
) -> None:
    """The session ends while the first answers of a large group are on the way."""
    token, hashed = new_token()
    users = tmp_path / "users.toml"
    users.write_text(f'[[user]]\nname = "ada"\ntoken_sha256 = "{hashed}"\nroles = ["review"]\n', encoding="utf-8")

    def prepare(live: LivePage) -> None:
        live.access = AccessOptions(users=users)
        fires(live)

    live = start_page(["yard"], prepare, windows=36)
    page = open_page(live, "#/events")
    page.get_by_label("Token").fill(token)
    page.keyboard.press("Enter")
    expect(page.locator(".event-row[aria-current='true']")).to_be_visible()
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route("**/api/review/*", hold)
    page.keyboard.press("Shift+Y")
    expect(page.get_by_role("dialog")).to_contain_text("all 12 open events")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_have_count(0)
    live.stop()
    live.start()  # without a session key, so it knows no older session
    page.get_by_label("Token").fill(token)
    page.keyboard.press("Enter")
    expect(page.locator(".connection")).to_have_text("Live")
    sent = len(held)
    assert 0 < sent < 12
    for route in tuple(held):
        route.abort()
    page.keyboard.press("2")
    expect(page.locator(".event-row[aria-current='true']")).to_be_visible()
    page.keyboard.press("Shift+Y")
    expect(page.get_by_role("dialog")).to_contain_text("all 12 open events")
    assert len(held) == sent


def test_a_new_event_appears_without_taking_the_place_of_the_chosen_one(
    start_page: StartPage, open_page: OpenPage
) -> None:
    """Whoever is about to press a key must not judge another event than the one that was looked at."""
    live = start_page(windows=8)
    page = open_page(live, "#/events")
    expect(page.locator(".event-row[aria-current='true']")).to_be_visible()
    before = open_count(page)
    shown = page.locator(".event-detail").get_attribute("data-event") or ""

    live.publish(20)

    wait_until(page, f"Number(document.querySelector('.events-list li').getAttribute('aria-setsize')) > {before}")
    expect(page.locator(".event-detail")).to_have_attribute("data-event", shown)


def test_without_the_role_nothing_is_answered(start_page: StartPage, open_page: OpenPage) -> None:
    """Reading is allowed; the page says which role is missing."""
    live = start_page(prepare=lambda live: setattr(live, "access", AccessOptions(allow="see")))
    page = open_page(live, "#/events")
    expect(page.locator(".event-row[aria-current='true']")).to_be_visible()

    page.keyboard.press("y")

    expect(page.locator(".notice-bad")).to_contain_text("you lack the role")
    expect(page.locator(".button-yes")).to_be_disabled()
    assert _feedback(live) == []


def _feedback(live: LivePage) -> list[Feedback]:
    return list(read_feedback(live.publisher.transport, PIPELINE))
