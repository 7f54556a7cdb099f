"""The server is restarted: the page goes on where it was. Nothing is missed, nothing comes twice."""

from __future__ import annotations

import json
import time
from collections import Counter
from typing import TYPE_CHECKING
from urllib.request import urlopen

from playwright.sync_api import expect

from benchmarks.page_load.synthetic_feeds import WINDOW_NS
from tests.page.conftest import WAIT_MS, wait_until
from triptych.units import NS_PER_MS

if TYPE_CHECKING:
    from tests.page.conftest import LivePage, OpenPage, StartPage

RECORD_EVENTS = """
window.received = [];
const Original = window.EventSource;
window.EventSource = class extends Original {
  constructor(url) {
    super(url);
    for (const type of ["tile", "review"]) this.addEventListener(type, (event) => {
      const body = JSON.parse(event.data);
      window.received.push({ type, name: type === "tile" ? body.feed : body.id, state: event.data });
    });
  }
};
"""
"""Runs before the page: it keeps what each event stream brings."""


def reviews_of(live: LivePage) -> set[str]:
    """Return the ids of all events that the server lists."""
    with urlopen(live.url + "api/review?state=open&limit=500", timeout=60) as answer:  # noqa: S310 - http, to this machine
        return {event["id"] for event in json.load(answer)["events"]}


def test_the_page_goes_on_after_a_restart_of_the_server(start_page: StartPage, open_page: OpenPage) -> None:
    """Windows that were published while the server was away are shown, and each event stands in the list once."""
    live = start_page()
    page = open_page(live, "about:blank")
    page.add_init_script(RECORD_EVENTS)
    page.goto(live.url + "#/events")
    expect(page.locator(".event-row").first).to_be_visible()
    expect(page.locator(".connection")).to_have_text("Live")
    live.publish(3)
    wait_until(page, "new Set(window.received.filter(e => e.type === 'tile').map(e => e.name)).size === 8")

    live.stop()
    expect(page.locator(".connection")).to_have_text("Connection lost, trying again")
    live.publish(30)
    live.start()

    expect(page.locator(".connection")).to_have_text("Live")
    expect(page.get_by_text("Connected again. Nothing was missed.").first).to_be_visible()
    newest = caught_up(live)
    known = reviews_of(live)
    wait_until(page, f"Number(document.querySelector('.events-list li').getAttribute('aria-setsize')) === {len(known)}")
    page.goto(live.url + "#/wall")
    for feed, end_ms in newest.items():
        shown = page.locator(".tile", has_text=feed).locator(".tile-time")
        expect(shown).to_have_text(_clock(end_ms))
    received = page.evaluate("window.received")
    twice = [each for each, count in Counter((e["type"], e["name"], e["state"]) for e in received).items() if count > 1]
    assert twice == []


def caught_up(live: LivePage) -> dict[str, int]:
    """Wait until the server has read all results; return the end of each feed's newest window, in milliseconds."""
    limit_s = time.monotonic() + WAIT_MS / 1_000
    expected_ms = (live.first_ns + live.next_window * WINDOW_NS) // NS_PER_MS
    while True:
        with urlopen(live.url + "api/wall", timeout=60) as answer:  # noqa: S310 - as above
            wall = json.load(answer)
        ends = {tile["feed"]: tile["end_ms"] for tile in wall["feeds"]}
        if not wall["catching_up"] and set(ends.values()) == {expected_ms}:
            return ends
        assert time.monotonic() < limit_s, (wall["catching_up"], ends, expected_ms)
        time.sleep(0.05)


def _clock(ms: int) -> str:
    seconds = ms // 1_000 % 86_400
    return f"{seconds // 3_600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
