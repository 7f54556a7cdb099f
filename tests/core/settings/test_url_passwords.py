"""Passwords in URLs: none is printed, whatever its signs are, and one that would be cut is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triptych.settings.loading import load, to_toml
from triptych.settings.section import SettingsError
from triptych.settings.url_passwords import check_password_encoding, without_password

SIGNS = st.text("ab1:/?#@[]%&=;.,*", max_size=12)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://h:6379/0", "redis://h:6379/0"),
        ("redis://me:hunter2@h:1/0", "redis://me:***@h:1/0"),
        ("redis://:hunter2@[::1]:1/0", "redis://:***@[::1]:1/0"),
        ("redis://:hun#ter2@h", "redis://:***@h"),
        ("redis://:hun/te?r2@h/0", "redis://:***@h/0"),
        ("redis://me:hunter@2@h/0", "redis://me:***@h/0"),
        ("redis://h/0?password=hunter2&db=1", "redis://h/0?password=***&db=1"),
        ("redis+sentinel://u:hunter2@a:1,b:2/s?sentinel_password=hunter2", "redis+sentinel://u:***@a:1,b:2/s?sentinel_password=***"),
        ("redis://:hun?password=ter2@h", "redis://:***"),
        ("redis://h:6379/0?password=hun@ter2", "redis://h:***"),
        ("postgresql://me@[::1]:5432/db?sslpassword=hunter2", "postgresql://me@[::1]:5432/db?sslpassword=***"),
        ("postgresql:/me:hunter2@h/db", "postgresql:/me:***@h/db"),
    ],
)  # fmt: skip
def test_a_password_is_left_out(url: str, shown: str) -> None:
    """In each place where a client accepts one, and where its signs are not encoded."""
    assert without_password(url) == shown


@given(before=SIGNS, after=SIGNS)
def test_no_sign_around_a_password_shows_it(before: str, after: str) -> None:
    """The whole password is left out: signs in it may not end it early."""
    secret = f"{before}hunter2{after}"
    assert "hunter2" not in without_password(f"postgresql://me:{secret}@h:5432/db")


@pytest.mark.parametrize("password", ["a/b", "a?b", "a#b", "a[b", "a]b", "12/b@c", "/", "#"])
def test_a_password_that_a_sign_ends_early_is_refused(password: str) -> None:
    """Clients would look for a host or a port in the rest of it, and quote that. The message does not."""
    for user in ("me", ""):
        with pytest.raises(SettingsError, match="got one that has; write them as %2F") as caught:
            load(None, {"redis.url": f"redis://{user}:x{password}y@h/0"}, environ={})
        assert f"x{password}" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "redis://me:a%2Fb%23@h:1/0",
        "redis://me:a%b@h/0",
        "redis://me:a@b@h/0",
        "redis://h:6379/0?client_name=a@b",
        "redis://[::1]:6379/0?client_name=a@b",
        "redis+cluster://h:1,g:2/?client_name=a@b",
        "unix://me:secret@/run/redis.sock",
        "unix:///run/redis.sock?db=1",
        "postgresql://me@[::1]/db",
    ],
)
def test_other_urls_are_taken(url: str) -> None:
    """Also unusual ones that clients understand."""
    check_password_encoding(url)


def test_the_password_in_the_location_of_an_index_is_not_printed() -> None:
    """`triptych config` shows the rest of it."""
    url = "postgresql://me:hunter2@h/db"
    assert 'index = "postgresql://me:***@h/db"' in to_toml(load(None, {"page.index": url}, environ={}))
