"""Validation of the Redis settings, and the URL made from them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from triptych.settings.loading import load, to_toml
from triptych.settings.section import SettingsError

if TYPE_CHECKING:
    from pathlib import Path


def test_a_password_is_never_printed() -> None:
    """Neither by `triptych config` nor in an error."""
    printed = to_toml(load(environ={"TRIPTYCH_REDIS_URL": "redis://me:hunter2@h:1/0"}))
    with pytest.raises(SettingsError) as caught:
        load(environ={"TRIPTYCH_REDIS_URL": "http://me:hunter2@h:1/0"})

    assert 'url = "redis://me:***@h:1/0"' in printed
    assert "hunter2" not in printed + str(caught.value)


@pytest.mark.parametrize(
    "url",
    ["redis+cluster://me:hunter2@a:1,b:2", "unix:///run/redis.sock?db=1&password=hunter2", "redis://:hunter2@h/0"],
)
def test_a_password_in_any_kind_of_url_is_hidden(url: str) -> None:
    """Wherever redis-py accepts one."""
    assert "hunter2" not in to_toml(load(None, {"redis.url": url}, environ={}))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"ssl_ca_file": "ca.pem"}, "needs a url that begins with rediss"),
        ({"url": "redis://u:hunter2@h/0", "password_file": "p"}, "set password_file or a password in the url"),
        ({"ssl_key_file": "key.pem"}, "ssl_cert_file and ssl_key_file must be set together"),
        ({"sentinel_password_file": "p"}, r"needs a url that begins with redis\+sentinel"),
        ({"url": "redis+sentinel://h/s", "sentinel_username": "me"}, "sentinel_username needs sentinel_password_file"),
    ],
)
def test_contradictory_settings_are_an_error(given: dict[str, str], message: str) -> None:
    """The message does not contain the password."""
    with pytest.raises(SettingsError, match=message) as caught:
        load(None, {f"redis.{name}": value for name, value in given.items()}, environ={})
    assert "hunter2" not in str(caught.value)


def test_the_full_url_contains_the_password_and_options(tmp_path: Path) -> None:
    """The password is quoted. The settings themselves do not hold it."""
    secret = tmp_path / "password"
    secret.write_text("p@ss/w:rd\n")
    overrides = {
        "redis.url": "rediss+cluster://me@one:1,two:2?health=1",
        "redis.password_file": str(secret),
        "redis.ssl_ca_file": "/etc/my ca.pem",
    }

    redis = load(None, overrides, environ={}).redis

    assert redis.full_url() == (
        "rediss+cluster://me:p%40ss%2Fw%3Ard@one:1,two:2?health=1&ssl_ca_certs=%2Fetc%2Fmy%20ca.pem"
    )
    assert "p@ss" not in repr(redis)


def test_sentinel_credentials_are_part_of_the_query(tmp_path: Path) -> None:
    """The user and password of the URL are those of the server."""
    secret = tmp_path / "password"
    secret.write_text("p&ss\n")
    overrides = {
        "redis.url": "redis+sentinel://me:mine@one,two/results",
        "redis.sentinel_username": "watchman",
        "redis.sentinel_password_file": str(secret),
    }

    redis = load(None, overrides, environ={}).redis

    assert redis.full_url() == (
        "redis+sentinel://me:mine@one,two/results?sentinel_username=watchman&sentinel_password=p%26ss"
    )
