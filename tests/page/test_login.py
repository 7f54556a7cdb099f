"""Who looks: a token opens the page, and a user sees the feeds that he may see."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from playwright.sync_api import expect

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
