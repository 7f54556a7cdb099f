"""One frozen tree from flags, variables, file and defaults; unknown names refused everywhere."""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING

import pytest
from pydantic import ValidationError

from triptych.schemas import names
from triptych.settings import loading
from triptych.settings.loading import load, to_toml
from triptych.settings.section import SettingsError
from triptych.settings.tree import Settings

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A file that sets two names."""
    path = tmp_path / "triptych.toml"
    path.write_text('pipeline = "from-file"\n[kafka]\nbootstrap_servers = "file:1"\n')
    return path


def test_without_anything_the_defaults_hold() -> None:
    """Everything has a default that works on one machine."""
    settings = load(environ={})

    assert settings == Settings()


def test_a_flag_wins_over_a_variable_over_the_file(config: Path) -> None:
    """Each source overrides those below it, name by name."""
    environ = {"TRIPTYCH_KAFKA_BOOTSTRAP_SERVERS": "environment:1", "TRIPTYCH_KAFKA_SESSION_TIMEOUT_MS": "6000"}

    by_file = load(config, environ={})
    by_variable = load(config, environ=environ)
    by_flag = load(config, {"kafka.bootstrap_servers": "flag:1", "pipeline": None}, environ=environ)

    assert (by_file.kafka.bootstrap_servers, by_file.kafka.session_timeout_ms) == ("file:1", 45_000)
    assert (by_variable.kafka.bootstrap_servers, by_variable.kafka.session_timeout_ms) == ("environment:1", 6000)
    assert (by_flag.kafka.bootstrap_servers, by_flag.pipeline) == ("flag:1", "from-file")


def test_the_file_can_be_named_by_a_variable(config: Path) -> None:
    """A container sets one variable and mounts the file."""
    settings = load(environ={"TRIPTYCH_CONFIG": str(config)})

    assert settings.pipeline == "from-file"


@pytest.mark.parametrize("path", ["pipeline", "redis.url", "align.out_of_orderness_video_ms", "http.port"])
def test_every_setting_has_a_variable(path: str) -> None:
    """Section and field, joined by underscores, whatever underscores the field has."""
    variable = "TRIPTYCH_" + path.replace(".", "_").upper()
    value = {"pipeline": "p", "redis.url": "redis://h/1"}.get(path, "7")

    settings = load(environ={variable: value})

    found: object = settings
    for part in path.split("."):
        found = getattr(found, part)
    assert str(found) == value


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({"TRIPTYCH_PIPLINE": "x"}, "TRIPTYCH_PIPLINE: no such setting; did you mean TRIPTYCH_PIPELINE?"),
        ({"TRIPTYCH_BATCH_MAX_WINDOW": "3"}, "did you mean TRIPTYCH_BATCH_MAX_WINDOWS?"),
        ({"TRIPTYCH_ZZZ_QQQ": "3"}, "`triptych config` prints all there are"),
    ],
)
def test_an_unknown_variable_is_refused_with_the_nearest_name(environ: dict[str, str], words: str) -> None:
    """At the top level as in a section."""
    with pytest.raises(SettingsError, match=re.escape(words)):
        load(environ=environ)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('piplin = "x"', "piplin: no such setting; did you mean pipeline?"),
        ("[batch]\nmax_window = 3", "batch.max_window: no such setting; did you mean batch.max_windows?"),
        ("[kafk]", "kafk: no such setting; did you mean kafka?"),
        ("[kafka.more]\nx = 1", "kafka.more: no such setting"),
        ("kafka = 3", "kafka: no such setting"),
        ("this is no toml", "expected a readable TOML file"),
    ],
)
def test_an_unknown_name_in_the_file_is_refused(tmp_path: Path, text: str, words: str) -> None:
    """With the file's name, so that one knows where to look."""
    config = tmp_path / "wrong.toml"
    config.write_text(text)

    with pytest.raises(SettingsError, match="wrong.toml.*" + re.escape(words)):
        load(config, environ={})


def test_a_file_that_is_not_there_is_the_users_mistake(tmp_path: Path) -> None:
    """Not a traceback."""
    with pytest.raises(SettingsError, match=r"none\.toml: expected a readable TOML file"):
        load(tmp_path / "none.toml", environ={})


def test_each_wrong_value_is_told_with_where_it_came_from() -> None:
    """All at once, one line each."""
    environ = {"TRIPTYCH_BATCH_MAX_WINDOWS": "0", "TRIPTYCH_HTTP_PORT": "many"}

    with pytest.raises(SettingsError) as caught:
        load(None, {"pipeline": "no spaces"}, environ=environ)

    lines = sorted(str(caught.value).splitlines())
    assert [line.partition(":")[0] for line in lines] == [
        "TRIPTYCH_BATCH_MAX_WINDOWS",
        "TRIPTYCH_HTTP_PORT",
        "the flag for pipeline",
    ]
    assert "greater than 0, got '0'" in lines[0]


def test_a_hop_longer_than_the_window_is_refused() -> None:
    """Records would fall between two windows."""
    with pytest.raises(SettingsError, match=r"TRIPTYCH_WINDOW_HOP_MS: hop_ms must be at most size_ms \(2000\)"):
        load(environ={"TRIPTYCH_WINDOW_HOP_MS": "2001"})


def test_the_tree_is_frozen() -> None:
    """Nobody changes a setting behind another's back."""
    settings = load(environ={})

    with pytest.raises(ValidationError):
        settings.kafka.bootstrap_servers = "elsewhere:1"  # type: ignore[misc]


def test_what_is_printed_is_read_back() -> None:
    """The output of `triptych config` is a file to start from."""
    settings = load(environ={"TRIPTYCH_WINDOW_HOP_MS": "500", "TRIPTYCH_LOG_LEVEL": "debug"})

    again = Settings.model_validate(tomllib.loads(to_toml(settings)))

    assert again == settings


def test_a_password_is_never_shown() -> None:
    """Neither in the print-out nor in an error."""
    printed = to_toml(load(environ={"TRIPTYCH_REDIS_URL": "redis://me:hunter2@h:1/0"}))
    with pytest.raises(SettingsError) as caught:
        load(environ={"TRIPTYCH_REDIS_URL": "http://me:hunter2@h:1/0"})

    assert 'url = "redis://me:***@h:1/0"' in printed
    assert "hunter2" not in printed + str(caught.value)


def test_the_pipelines_name_follows_the_contract() -> None:
    """The settings import nothing of ours, so what they repeat is compared here."""
    field = Settings.model_fields["pipeline"]

    assert field.default == names.DEFAULT_PIPELINE
    assert names.PIPELINE_PATTERN in repr(field.metadata)


def test_variables_of_others_with_our_prefix_are_listed() -> None:
    """Each is no setting, on purpose."""
    settings = load(environ=dict.fromkeys(loading.OTHER_VARIABLES - {"TRIPTYCH_CONFIG"}, "1"))

    assert settings == Settings()


def test_a_hand_over_ends_before_the_group_loses_patience() -> None:
    """Else a worker that finishes its work would be thrown out for it."""
    assert load(overrides={"kafka.hand_over_limit_ms": 1_000, "kafka.max_poll_interval_ms": 6_000}, environ={})

    with pytest.raises(SettingsError, match=r"hand_over_limit_ms must be at most 5000, .*; got 6000"):
        load(overrides={"kafka.hand_over_limit_ms": 6_000, "kafka.max_poll_interval_ms": 10_000}, environ={})


@pytest.mark.parametrize(
    "url",
    ["redis+cluster://me:hunter2@a:1,b:2", "unix:///run/redis.sock?db=1&password=hunter2", "redis://:hunter2@h/0"],
)
def test_a_password_in_any_url_of_redis_is_hidden(url: str) -> None:
    """Wherever the client takes one."""
    assert "hunter2" not in to_toml(load(None, {"redis.url": url}, environ={}))


def test_a_secret_is_shown_nowhere() -> None:
    """Neither in the print-out, nor in what Python shows of the tree, nor in an error about its neighbours."""
    environ = {
        "TRIPTYCH_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
        "TRIPTYCH_KAFKA_SASL_MECHANISM": "SCRAM-SHA-512",
        "TRIPTYCH_KAFKA_USERNAME": "worker",
        "TRIPTYCH_KAFKA_PASSWORD": "hunter2",
        "TRIPTYCH_HTTP_TOKEN": "hunter2",
    }
    settings = load(environ=environ)

    with pytest.raises(SettingsError) as caught:
        load(environ=environ | {"TRIPTYCH_KAFKA_SECURITY_PROTOCOL": "SSL", "TRIPTYCH_HTTP_TOKEN": "hunter2 too"})

    shown = to_toml(settings) + repr(settings) + str(caught.value)
    assert "hunter2" not in shown
    assert "# password is set, and not shown" in shown
    assert "TRIPTYCH_KAFKA_PASSWORD" in str(caught.value)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"sasl_mechanism": "PLAIN"}, "sasl_mechanism and a security_protocol with SASL need one another"),
        ({"security_protocol": "SASL_SSL"}, "sasl_mechanism and a security_protocol with SASL need one another"),
        (
            {"security_protocol": "SASL_SSL", "sasl_mechanism": "PLAIN", "username": "u"},
            "PLAIN needs username, and",
        ),
        (
            {"security_protocol": "SASL_SSL", "sasl_mechanism": "OAUTHBEARER"},
            "OAUTHBEARER needs one of",
        ),
        ({"ssl_cert_file": "cert.pem"}, "ssl_cert_file and ssl_key_file need one another"),
    ],
)
def test_half_a_login_is_refused(given: dict[str, str], words: str) -> None:
    """Before a broker is asked, which would say less."""
    with pytest.raises(SettingsError, match=words):
        load(None, {f"kafka.{name}": value for name, value in given.items()}, environ={})


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"ssl_ca_file": "ca.pem"}, "needs a url that begins with rediss"),
        ({"url": "redis://u:hunter2@h/0", "password_file": "p"}, "password_file and a password in the url"),
        ({"ssl_key_file": "key.pem"}, "ssl_cert_file and ssl_key_file need one another"),
        ({"sentinel_password_file": "p"}, r"needs a url that begins with redis\+sentinel"),
        ({"url": "redis+sentinel://h/s", "sentinel_username": "me"}, "sentinel_username needs sentinel_password_file"),
    ],
)
def test_settings_of_redis_that_contradict_one_another_are_refused(given: dict[str, str], words: str) -> None:
    """Without the password that is in one of them."""
    with pytest.raises(SettingsError, match=words) as caught:
        load(None, {f"redis.{name}": value for name, value in given.items()}, environ={})
    assert "hunter2" not in str(caught.value)


def test_the_whole_url_of_redis_is_put_together(tmp_path: Path) -> None:
    """Whatever characters the password has; the settings themselves do not hold it."""
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


def test_sentinels_have_a_login_of_their_own(tmp_path: Path) -> None:
    """It travels in the query, where a client of one server has no use for it."""
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


@pytest.mark.parametrize(("text", "words"), [(None, "a file that can be read"), ("\n", "an empty file")])
def test_a_secret_that_is_not_in_its_file_is_told(tmp_path: Path, text: str | None, words: str) -> None:
    """With the setting that names the file."""
    path = tmp_path / "token"
    if text is not None:
        path.write_text(text)
    with pytest.raises(SettingsError, match=rf"http\.token_file: .*{words}"):
        load(None, {"http.token_file": str(path)}, environ={}).http.bearer_token()
