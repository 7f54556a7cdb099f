"""A user's hands on the page: each action is done in the browser, written down, and its wait measured."""

from __future__ import annotations

import time
from typing import Final

from playwright.sync_api import Locator, Page

from benchmarks.page_tasks.keystroke_model import TaskStep

_LONGEST_WAIT_S: Final = 20.0
_POLL_S: Final = 0.002
_HELPERS: Final = """
window.taskView = {
  inView(element) {
    const box = element.getBoundingClientRect();
    const middle = box.top + box.height / 2;
    return box.width > 0 && middle > 0 && middle < innerHeight && box.left < innerWidth && box.right > 0;
  },
  says(selector, text) {
    return [...document.querySelectorAll(selector)].some((one) => one.textContent.includes(text) && this.inView(one));
  },
  hasPicture(selector) {
    const image = document.querySelector(selector);
    return image !== null && image.complete && image.naturalWidth > 0 && this.inView(image);
  },
};
"""
"""What is on the screen: in the viewport, not only in the document."""


class TaskNotDoneError(RuntimeError):
    """What should be on the screen is not."""


class UserHands:
    """Points, clicks and types in one page, as a user does who knows what is to be done.

    Args:
        page: the page; it must be loaded after this, since what is on the screen is asked by a script of its own.
        at_mouse: whether the hand begins at the mouse.
    """

    def __init__(self, page: Page, *, at_mouse: bool) -> None:
        self._page = page
        self._at_mouse = at_mouse
        self._pointer = (-1.0, -1.0)
        self.steps: list[TaskStep] = []
        page.add_init_script(_HELPERS)

    def wait(self, shown: str) -> float:
        """Wait until an expression of JavaScript is true; return the seconds. Blocks.

        Raises:
            TaskNotDoneError: it does not become true.
        """
        began_s = time.perf_counter()
        while not self._page.evaluate(shown):
            if time.perf_counter() - began_s > _LONGEST_WAIT_S:
                raise TaskNotDoneError(f"expected on the screen: {shown}; what came last: {self._page.url}")
            time.sleep(_POLL_S)
        return time.perf_counter() - began_s

    def click(self, action: str, target: Locator, shown: str, *, thinks: bool = True) -> None:
        """Point at an element, unless the pointer is there, and click; wait for what it shows.

        Raises:
            TaskNotDoneError: the element is not in the viewport, or what it should show does not come.
        """
        box, view = target.bounding_box(), self._page.viewport_size
        if box is None or view is None:
            raise TaskNotDoneError(f"{action}: there is nothing to point at")
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        if not (0 < x < view["width"] and 0 < y < view["height"]):
            raise TaskNotDoneError(f"{action}: one would have to scroll to {x:.0f}, {y:.0f}")
        is_there = 0 < self._pointer[0] - box["x"] < box["width"] and 0 < self._pointer[1] - box["y"] < box["height"]
        if is_there:
            x, y = self._pointer
        operators = "M" * thinks + ("" if self._at_mouse else "H") + ("" if is_there else "P") + "BB"
        self._pointer = (x, y)
        self._at_mouse = True
        self._page.mouse.click(x, y)
        self.steps.append(TaskStep(action, operators, self.wait(shown)))

    def press(self, action: str, keys: str, shown: str, *, thinks: bool = True) -> None:
        """Press keys one after the other, separated by blanks; `Shift+n` costs two. Wait for what they show."""
        operators = "M" * thinks + ("H" if self._at_mouse else "")
        operators += "K" * sum(len(key.split("+")) for key in keys.split())
        self._at_mouse = False
        for key in keys.split():
            self._page.keyboard.press(key)
        self.steps.append(TaskStep(action, operators, self.wait(shown)))

    def think(self, action: str) -> None:
        """Read what is on the screen."""
        self.steps.append(TaskStep(action, "M"))

    def type(self, action: str, text: str, shown: str, *, thinks: bool = True) -> None:
        """Type a text into what has the focus, and wait for what that shows."""
        operators = "M" * thinks + ("H" if self._at_mouse else "") + "K" * len(text)
        self._at_mouse = False
        self._page.keyboard.type(text)
        self.steps.append(TaskStep(action, operators, self.wait(shown)))


def says(selector: str, text: str) -> str:
    """Return the expression that an element with a text is on the screen."""
    return f"taskView.says({selector!r}, {text!r})"


def has_picture(selector: str) -> str:
    """Return the expression that the first such picture is on the screen, and loaded."""
    return f"taskView.hasPicture({selector!r})"


def both(*expressions: str) -> str:
    """Return the expression that all of these hold."""
    return " && ".join(f"({each})" for each in expressions)
