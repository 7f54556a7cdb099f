"""Health: what is wrong comes first; dead letters are looked at and sent again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.page.conftest import PIPELINE, AccessOptions, LivePage
from triptych.schemas.codec import encode
from triptych.schemas.dead import DeadLetter
from triptych.schemas.dead_codec import encode_dead
from triptych.schemas.names import VIDEO_TOPIC, dead_topic
from triptych.schemas.reasons import DeadReason
from triptych.schemas.records import VideoFrame
from triptych.transport.records import Message, TopicPartition

if TYPE_CHECKING:
    from tests.page.conftest import OpenPage, StartPage

HOSTILE = '<img src=x onerror="document.title=1">'


def send_letters(live: LivePage, count: int = 3) -> None:
    """Publish dead letters: whole frames, with a reason and a header that look like markup."""
    publisher = live.publisher.transport.publisher()
    for number in range(count):
        frame = VideoFrame(
            stream="yard", id=f"d{number}", source="/cam", session="s", start_ns=live.first_ns, data=b"\xff\xd8 broken"
        )
        key, value, headers = encode(frame)
        letter = DeadLetter(
            pipeline=PIPELINE,
            topic=VIDEO_TOPIC,
            partition=0,
            offset=1_000 + number,
            arrival_ns=live.first_ns,
            reason=f"expected a JPEG, got {HOSTILE}",
            code=DeadReason.BROKEN_MEDIA if number else DeadReason.TOO_LARGE,
            key=key,
            value=value,
            headers=(*headers, ("note", HOSTILE.encode())),
        )
        publisher.send(Message(dead_topic(PIPELINE), *encode_dead(letter))).result(5)
    publisher.close(5)


def end_offset(live: LivePage) -> int:
    """Return how many records the topic of pictures ever had."""
    admin = live.publisher.transport.admin()
    ends = admin.appended_offsets([TopicPartition(VIDEO_TOPIC, 0)])
    admin.close()
    return sum(ends.values())


def test_what_is_wrong_comes_first_with_what_to_do(start_page: StartPage, open_page: OpenPage) -> None:
    """No worker runs here, which the findings say; the figures of each part follow."""
    live = start_page(prepare=send_letters)
    page = open_page(live, "#/health")

    expect(page.locator(".finding").first).to_have_class("finding finding-wrong")
    expect(page.locator(".finding").first.get_by_text("What to do")).to_be_visible()
    expect(page.locator(".figure", has_text="Feeds").locator("dd")).to_have_text("8")
    expect(page.locator(".figure", has_text="Dead letters").locator("dd")).to_have_text("3")
    expect(page.get_by_role("rowheader", name="triptych.results")).to_be_visible()
    expect(page.get_by_role("rowheader", name="synthetic 1")).to_be_visible()
    expect(page.get_by_role("navigation").get_by_text("Wrong")).to_be_attached()


def test_a_dead_letter_is_looked_at_and_sent_again(start_page: StartPage, open_page: OpenPage) -> None:
    """The record is on its topic again, and the letter says so. Its headers are text, whatever they hold."""
    live = start_page(prepare=send_letters)
    page = open_page(live, "#/health")
    letters = page.get_by_role("group", name="Dead letters")
    rows = letters.locator("tbody tr")
    expect(rows).to_have_count(3)
    page.get_by_role("button", name="broken_media 2").click()
    expect(rows).to_have_count(2)

    rows.first.get_by_role("button", name="Look at").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_text(HOSTILE, exact=True)).to_be_visible()
    expect(dialog.locator("pre")).to_contain_text("ff d8 20 62 72 6f 6b 65 6e")
    expect(dialog.locator("img")).to_have_count(0)
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)

    before = end_offset(live)
    letters.get_by_role("checkbox", name="Choose all").check()
    page.get_by_role("button", name="Redrive 2 letters").click()
    page.get_by_role("dialog").get_by_role("button", name="Redrive 2 letters").click()

    expect(page.locator(".notice-good")).to_contain_text("2 letters were sent again")
    expect(rows.get_by_text("sent again")).to_have_count(2)
    assert end_offset(live) == before + 2


@pytest.mark.parametrize("role", ["see", "review"])
def test_only_operators_send_letters_again(start_page: StartPage, open_page: OpenPage, role: str) -> None:
    """Others may look."""

    def prepare(live: LivePage) -> None:
        live.access = AccessOptions(allow=role)  # type: ignore[arg-type]
        send_letters(live)

    live = start_page(["yard"], prepare, windows=1)
    page = open_page(live, "#/health")
    page.get_by_role("checkbox", name="Choose all").check()

    expect(page.get_by_role("button", name="Redrive 3 letters")).to_be_disabled()
    expect(page.get_by_role("button", name="Look at").first).to_be_enabled()
