"""The tasks on our page, each step as a user does it. A task is done when the right answer is on the screen."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from playwright.sync_api import Browser, Locator, Page, ViewportSize

from benchmarks.page_load.synthetic_feeds import PIPELINE
from benchmarks.page_tasks.keystroke_model import TaskStep
from benchmarks.page_tasks.task_feeds import (
    DARK_FEED,
    PROMPT,
    REVIEWED,
    SAID_FEED,
    SAID_WINDOW,
    SAID_WORD,
    TaskFeeds,
    TaskPage,
    dark_feeds,
    events_of_many_feeds,
    events_of_one_feed,
    said_feeds,
    task_page,
)
from benchmarks.page_tasks.user_hands import TaskNotDoneError, UserHands, both, has_picture, says
from triptych.consumers.prompts.prompt_topic import read_feedback

FIND_WORD: Final = "find the moment at which a word was said"
FIND_CAUSE: Final = "find why a feed is dark"
REVIEW: Final = "review twenty events"
_SIZE: Final[ViewportSize] = {"width": 1440, "height": 900}
_WALL_IS_SHOWN: Final = both(has_picture(".tile .picture img"), "document.querySelector('.connection-live') !== null")
_CAUSE: Final = "silent, and it did not end"


class TaskScreen:
    """What is on the screen, and the hands in front of it."""

    def __init__(self, page: Page, served: TaskPage, *, at_mouse: bool) -> None:
        self._page = page
        self.served = served
        self.hands = UserHands(page, at_mouse=at_mouse)
        page.goto(served.url)
        self.hands.wait(_WALL_IS_SHOWN)

    def locate(self, selector: str, text: str = "") -> Locator:
        """Return the first element with a text."""
        return self._page.locator(selector, has_text=text or None).first

    @property
    def address(self) -> str:
        """The address that the browser shows."""
        return self._page.url

    def chosen_event(self) -> tuple[str, str]:
        """Return the id of the event that is judged, and its feed."""
        detail = self._page.locator(".event-detail")
        feed = detail.locator(".event-detail-head bdi").nth(1).inner_text()
        return detail.get_attribute("data-event") or "", feed


@dataclass(frozen=True, slots=True)
class PageTask:
    """A task, and one way to do it.

    Attributes:
        task: what is wanted.
        way: how it is done.
        at_mouse: where the hand begins.
        feeds: makes what the page shows.
        perform: does it, from the wall; raises `TaskNotDoneError` if the answer is not on the screen.
    """

    task: str
    way: str
    at_mouse: bool
    feeds: Callable[[], TaskFeeds]
    perform: Callable[[TaskScreen], None]


def run_task(task: PageTask, browser: Browser) -> list[TaskStep]:
    """Do a task once, on a page that has just been started. Blocks.

    Raises:
        TaskNotDoneError: the right answer is not on the screen, or the server did not get it.
    """
    with tempfile.TemporaryDirectory() as folder, task_page(task.feeds(), Path(folder)) as served:
        context = browser.new_context(viewport=_SIZE, locale="en-GB", timezone_id="UTC", reduced_motion="reduce")
        try:
            screen = TaskScreen(context.new_page(), served, at_mouse=task.at_mouse)
            task.perform(screen)
            return screen.hands.steps
        finally:
            context.close()


# --- the word ---------------------------------------------------------------------------------------------------------


def _moment_is_shown() -> str:
    return both(says("#feed-title", SAID_FEED), says(".moment .words", SAID_WORD), has_picture(".moment .picture img"))


def _check_moment(screen: TaskScreen) -> None:
    at_ms = int(screen.address.split("at=")[1].split("&")[0])
    begin_ms = screen.served.start_ms(SAID_WINDOW)
    if not begin_ms <= at_ms < begin_ms + 2_000:
        raise TaskNotDoneError(f"expected a moment from {begin_ms} ms on, got {screen.address}")


def _is_in(selector: str) -> str:
    return f"document.activeElement === document.querySelector({selector!r})"


_SEARCH_BOX: Final = ".search-form input"
_SEARCH_HAS_FOCUS: Final = _is_in(_SEARCH_BOX)
_IS_FOUND: Final = both(says(".found-row mark", SAID_WORD), says(".found-feed", SAID_FEED))


def _search_by_mouse(screen: TaskScreen) -> None:
    hands = screen.hands
    hands.click("open the search", screen.locate(".nav-link", "Search"), _SEARCH_HAS_FOCUS)
    hands.type("type the word", SAID_WORD, _SEARCH_HAS_FOCUS)
    hands.press("search", "Enter", _IS_FOUND, thinks=False)
    hands.click("open the moment", screen.locate(".found-row", SAID_WORD), _moment_is_shown())
    _check_moment(screen)


def _search_by_keyboard(screen: TaskScreen) -> None:
    hands = screen.hands
    hands.press("open the search", "4", _SEARCH_HAS_FOCUS)
    hands.type("type the word", SAID_WORD, _SEARCH_HAS_FOCUS)
    hands.press("search", "Enter", _IS_FOUND, thinks=False)
    hands.press("go to what was found", "ArrowDown", _is_in(".found-list a"))
    hands.press("open the moment", "Enter", _moment_is_shown(), thinks=False)
    _check_moment(screen)


_FINDER_BOX: Final = ".finder input"
_CUES_ARE_SHOWN: Final = "document.querySelector('.finder-cue') !== null"
_CUE_IS_FOUND: Final = both(says(".finder-cue", SAID_WORD), "document.querySelectorAll('.finder-cue').length === 1")


def _word_of_a_feed_by_mouse(screen: TaskScreen) -> None:
    hands = screen.hands
    hands.click("open the feed", screen.locate(".tile-link", SAID_FEED), _CUES_ARE_SHOWN)
    hands.click("click into the box of words", screen.locate(_FINDER_BOX), _is_in(_FINDER_BOX), thinks=False)
    hands.type("type the word", SAID_WORD, _CUE_IS_FOUND)
    hands.click("click the line", screen.locate(".finder-cue", SAID_WORD), _moment_is_shown())
    _check_moment(screen)


def _word_of_a_feed_by_keyboard(screen: TaskScreen) -> None:
    hands = screen.hands
    hands.press("go to the filter", "/", _is_in(".field-search input"))
    only_tile = both(says(".tile-name", SAID_FEED), "document.querySelectorAll('.tile').length === 1")
    hands.type("type the first letters of the feed", SAID_FEED[:3], only_tile, thinks=False)
    hands.press("open it", "Enter", _CUES_ARE_SHOWN, thinks=False)
    hands.press("go to the box of words", "/", _is_in(_FINDER_BOX))
    hands.type("type the word", SAID_WORD, _CUE_IS_FOUND, thinks=False)
    hands.press("go to the moment", "Enter", _moment_is_shown())
    _check_moment(screen)


# --- the dark feed ----------------------------------------------------------------------------------------------------


def _cause_is_shown(list_of_findings: str) -> str:
    return both(says(f"{list_of_findings} .finding-wrong .finding-text", f"{DARK_FEED} {_CAUSE}"))


def _dark_tile_is_first(screen: TaskScreen) -> None:
    screen.hands.wait(says(".tile:first-child .tile-name", DARK_FEED))
    screen.hands.wait(says(".tile:first-child .tile-chips", "No results"))
    screen.hands.wait("document.querySelector('.nav .count-bad') !== null")


def _cause_by_mouse(screen: TaskScreen) -> None:
    _dark_tile_is_first(screen)
    screen.hands.click("open the feed", screen.locate(".tile-link", DARK_FEED), _cause_is_shown(".feed-trouble"))
    screen.hands.think("read the cause")


def _cause_by_keyboard(screen: TaskScreen) -> None:
    _dark_tile_is_first(screen)
    screen.hands.press("open the health", "3", _cause_is_shown(".findings"))
    screen.hands.think("read the cause")


# --- the events -------------------------------------------------------------------------------------------------------


_EVENT_IS_SHOWN: Final = has_picture(".event-detail .picture img")
_YES: Final = ".button-yes"
_NO: Final = ".button-no"
_LONGEST_WAY_S: Final = 20.0
_POLL_S: Final = 0.05


def _truth(feed: str) -> str:
    """What is right: every third camera has seen what was asked for."""
    return "yes" if int(feed[-2:]) % 3 == 0 else "no"


def _next_is_shown(event_id: str) -> str:
    row = f'.events-list li[data-event="{event_id}"]'
    return both(
        f"document.querySelector('.event-detail').dataset.event !== {event_id!r}",
        f"document.querySelector({row + ' .answer'!r}) !== null || document.querySelector({row!r}) === null",
        _EVENT_IS_SHOWN,
    )


def _check_answers(screen: TaskScreen, expected: dict[str, list[str]]) -> None:
    """Wait until the topic has the answers that are right, by feed: the last ones may still be on their way."""
    began_s = time.perf_counter()
    while (got := _answers(screen)) != expected:
        if time.perf_counter() - began_s > _LONGEST_WAY_S:
            raise TaskNotDoneError(f"expected the answers {expected}, got {got}")
        time.sleep(_POLL_S)
    screen.hands.wait("document.querySelectorAll('.notice-bad').length === 0")


def _answers(screen: TaskScreen) -> dict[str, list[str]]:
    got: dict[str, list[str]] = {}
    for given in read_feedback(screen.served.transport, PIPELINE):
        if given.prompt == PROMPT:
            got.setdefault(given.stream, []).append(given.answer)
    return got


def _judge_each(screen: TaskScreen, say: Callable[[str, str, str], None]) -> None:
    expected: dict[str, list[str]] = {}
    for number in range(REVIEWED):
        event_id, feed = screen.chosen_event()
        answer = _truth(feed)
        expected[feed] = [answer]
        is_last = number == REVIEWED - 1
        shown = "document.querySelectorAll('.answer').length > 0" if is_last else _next_is_shown(event_id)
        say(f"judge event {number + 1}", answer, shown)
    screen.hands.wait("document.querySelectorAll('.events-list .answer').length > 0")
    _check_answers(screen, expected)


def _judge_by_mouse(screen: TaskScreen) -> None:
    hands = screen.hands
    hands.click("open the events", screen.locate(".nav-link", "Events"), _EVENT_IS_SHOWN)

    def say(action: str, answer: str, shown: str) -> None:
        hands.click(action, screen.locate(_YES if answer == "yes" else _NO), shown)

    _judge_each(screen, say)


def _judge_by_keyboard(screen: TaskScreen) -> None:
    hands = screen.hands
    hands.press("open the events", "2", _EVENT_IS_SHOWN)
    _judge_each(screen, lambda action, answer, shown: hands.press(action, answer[0], shown))


_DIALOG: Final = "dialog[open] .button-primary"
_IS_ASKED: Final = says("dialog[open]", str(REVIEWED))
_ALL_ARE_ANSWERED: Final = says(".notice-good", f"{REVIEWED} events were answered")


def _check_group(screen: TaskScreen) -> None:
    (feed,) = {name for name, _ in events_of_one_feed().changes if name.startswith("harbour")}
    _check_answers(screen, {feed: ["no"] * REVIEWED})


def _group_by_mouse(screen: TaskScreen) -> None:
    hands = screen.hands
    hands.click("open the events", screen.locate(".nav-link", "Events"), _EVENT_IS_SHOWN)
    hands.click("answer all of them", screen.locate(".group-answer .button", "No"), _IS_ASKED)
    hands.click("confirm", screen.locate(_DIALOG), _ALL_ARE_ANSWERED, thinks=False)
    _check_group(screen)


def _group_by_keyboard(screen: TaskScreen) -> None:
    hands = screen.hands
    hands.press("open the events", "2", _EVENT_IS_SHOWN)
    hands.press("answer all of them", "Shift+N", both(_IS_ASKED, _is_in(_DIALOG)))
    hands.press("confirm", "Enter", _ALL_ARE_ANSWERED, thinks=False)
    _check_group(screen)


PAGE_TASKS: Final = (
    PageTask(FIND_WORD, "search, mouse", at_mouse=True, feeds=said_feeds, perform=_search_by_mouse),
    PageTask(FIND_WORD, "search, keyboard", at_mouse=False, feeds=said_feeds, perform=_search_by_keyboard),
    PageTask(FIND_WORD, "known feed, mouse", at_mouse=True, feeds=said_feeds, perform=_word_of_a_feed_by_mouse),
    PageTask(FIND_WORD, "known feed, keyboard", at_mouse=False, feeds=said_feeds, perform=_word_of_a_feed_by_keyboard),
    PageTask(FIND_CAUSE, "mouse", at_mouse=True, feeds=dark_feeds, perform=_cause_by_mouse),
    PageTask(FIND_CAUSE, "keyboard", at_mouse=False, feeds=dark_feeds, perform=_cause_by_keyboard),
    PageTask(REVIEW, "judge each, mouse", at_mouse=True, feeds=events_of_many_feeds, perform=_judge_by_mouse),
    PageTask(REVIEW, "judge each, keyboard", at_mouse=False, feeds=events_of_many_feeds, perform=_judge_by_keyboard),
    PageTask(REVIEW, "all alike, mouse", at_mouse=True, feeds=events_of_one_feed, perform=_group_by_mouse),
    PageTask(REVIEW, "all alike, keyboard", at_mouse=False, feeds=events_of_one_feed, perform=_group_by_keyboard),
)
