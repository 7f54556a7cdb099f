"""Who looks: a token opens the page, and a user sees the feeds that he may see."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from playwright.sync_api import Page, expect

from tests.page.conftest import AccessOptions, LivePage
from triptych.consumers.page.web.access import new_token

if TYPE_CHECKING:
    from tests.page.conftest import OpenPage, StartPage


def test_a_token_opens_the_page(start_page: StartPage, open_page: OpenPage, tmp_path: Path) -> None:
    """A wrong one does not. After signing out the form is there again."""
    token, hashed = new_token()
    users = tmp_path / "users.toml"
    users.write_text(
        f'[[user]]\nname = "ada"\ntoken_sha256 = "{hashed}"\nroles = ["see"]\nfeeds = ["yard", "news-*"]\n',
        encoding="utf-8",
    )

    def with_users(live: LivePage) -> None:
        live.access = AccessOptions(users=users)

    live = start_page(prepare=with_users)
    page = open_page(live)
    page.get_by_label("Token").fill("guessed")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_have_text("This token is not known.")

    page.get_by_label("Token").fill(token)
    page.keyboard.press("Enter")

    expect(page.locator(".tile")).to_have_count(2)
    page.get_by_role("button", name="Settings").click()
    expect(page.get_by_text("Signed in as ada")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("Token")).to_be_visible()


def test_the_login_is_asked_for_when_the_session_has_ended(
    start_page: StartPage, open_page: OpenPage, tmp_path: Path
) -> None:
    """A server that was restarted without a session key knows no older session. The wall goes on after the login."""
    token, hashed = new_token()
    users = tmp_path / "users.toml"
    users.write_text(f'[[user]]\nname = "ada"\ntoken_sha256 = "{hashed}"\nroles = ["see"]\n', encoding="utf-8")

    def with_users(live: LivePage) -> None:
        live.access = AccessOptions(users=users)

    live = start_page(("yard", "canal-2"), prepare=with_users)
    page = open_page(live)
    page.get_by_label("Token").fill(token)
    page.keyboard.press("Enter")
    expect(page.locator(".connection")).to_have_text("Live")

    live.stop()
    live.start()
    expect(page.get_by_label("Token")).to_be_visible()

    page.get_by_label("Token").fill(token)
    page.keyboard.press("Enter")
    expect(page.locator(".tile")).to_have_count(2)
    expect(page.locator(".connection")).to_have_text("Live")


def test_what_one_user_saw_is_not_shown_to_the_next(start_page: StartPage, open_page: OpenPage, tmp_path: Path) -> None:
    """The session of one ends while the page stays open, and another one signs in: no feed, event or moment stays."""
    tokens = dict(zip(("ada", "bob"), (new_token(), new_token()), strict=True))
    feeds = {"ada": "yard", "bob": "news-24"}
    users = tmp_path / "users.toml"
    users.write_text(
        "".join(
            f'[[user]]\nname = "{name}"\ntoken_sha256 = "{hashed}"\nroles = ["see"]\nfeeds = ["{feeds[name]}"]\n'
            for name, (_, hashed) in tokens.items()
        ),
        encoding="utf-8",
    )
    live = start_page(
        ("yard", "news-24"),
        lambda live: setattr(live, "access", AccessOptions(users=users)),
        windows=110,
        index=tmp_path / "index",
    )
    page = open_page(live)
    page.get_by_label("Token").fill(tokens["ada"][0])
    page.keyboard.press("Enter")
    expect(page.locator(".tile")).to_have_count(1)
    page.keyboard.press("2")
    expect(page.locator(".event-row").first).to_contain_text("yard")
    page.keyboard.press("4")
    box = page.get_by_role("searchbox", name="What to look for")
    box.fill("gates")
    page.keyboard.press("Enter")
    expect(page.locator(".found-feed").first).to_have_text("yard")

    live.stop()
    live.start()
    expect(page.get_by_label("Token")).to_be_visible()
    expect(page.locator(".count")).to_have_count(0)
    _keep_what_is_drawn(page)
    page.get_by_label("Token").fill(tokens["bob"][0])
    page.keyboard.press("Enter")

    expect(page.locator(".tile")).to_have_count(1)
    expect(page.locator(".tile")).to_contain_text("news-24")
    assert page.url.endswith("#/wall")  # the address of the search named what was looked for
    page.keyboard.press("4")
    expect(page.get_by_text("Find a moment")).to_be_visible()
    expect(box).to_have_value("")
    page.keyboard.press("Escape")  # leaves the box
    page.keyboard.press("2")
    expect(page.locator(".event-row").first).to_contain_text("news-24")
    drawn = page.evaluate("window.drawn")
    assert any("news-24" in text for text in drawn)
    assert [text for text in drawn if "yard" in text] == []


def _keep_what_is_drawn(page: Page) -> None:
    """Note each text that the page shows from now on, however short, in `window.drawn`."""
    page.evaluate(
        """() => {
          window.drawn = [];
          const note = () => window.drawn.push(document.body.textContent);
          new MutationObserver(note).observe(document.body, { childList: true, characterData: true, subtree: true });
        }"""
    )
