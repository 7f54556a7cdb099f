"""Precedence, unknown names and invalid values of settings, and their output as TOML."""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING

import pytest

from triptych.settings import loading
from triptych.settings.loading import load, to_toml
from triptych.settings.section import SettingsError
from triptych.settings.tree import Settings

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A file with two settings."""
    path = tmp_path / "triptych.toml"
    path.write_text('pipeline = "from-file"\n[kafka]\nbootstrap_servers = "file:1"\n')
    return path


def test_defaults_apply_without_any_source() -> None:
    """Every setting has a default that works on one machine."""
    settings = load(environ={})

    assert settings == Settings()


def test_flags_override_variables_which_override_the_file(config: Path) -> None:
    """Precedence applies to each setting separately."""
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
    """Section and field joined by an underscore; the field may contain underscores itself."""
    variable = "TRIPTYCH_" + path.replace(".", "_").upper()
    value = {"pipeline": "p", "redis.url": "redis://h/1"}.get(path, "7")

    settings = load(environ={variable: value})

    found: object = settings
    for part in path.split("."):
        found = getattr(found, part)
    assert str(found) == value


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"TRIPTYCH_PIPLINE": "x"}, "TRIPTYCH_PIPLINE: no such setting; did you mean TRIPTYCH_PIPELINE?"),
        ({"TRIPTYCH_BATCH_MAX_WINDOW": "3"}, "did you mean TRIPTYCH_BATCH_MAX_WINDOWS?"),
        ({"TRIPTYCH_ZZZ_QQQ": "3"}, "`triptych config` prints all settings"),
    ],
)
def test_an_unknown_variable_is_an_error_with_the_nearest_name(environ: dict[str, str], message: str) -> None:
    """At the top level and in a section."""
    with pytest.raises(SettingsError, match=re.escape(message)):
        load(environ=environ)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('piplin = "x"', "piplin: no such setting; did you mean pipeline?"),
        ("[batch]\nmax_window = 3", "batch.max_window: no such setting; did you mean batch.max_windows?"),
        ("[kafk]", "kafk: no such setting; did you mean kafka?"),
        ("[kafka.more]\nx = 1", "kafka.more: no such setting"),
        ("kafka = 3", "kafka: no such setting"),
        ("this is no toml", "expected a readable TOML file"),
    ],
)
def test_an_unknown_name_in_the_file_is_an_error(tmp_path: Path, text: str, message: str) -> None:
    """The message names the file."""
    config = tmp_path / "wrong.toml"
    config.write_text(text)

    with pytest.raises(SettingsError, match="wrong.toml.*" + re.escape(message)):
        load(config, environ={})


def test_a_missing_file_is_a_settings_error(tmp_path: Path) -> None:
    """The user sees a message, not a traceback."""
    with pytest.raises(SettingsError, match=r"none\.toml: expected a readable TOML file"):
        load(tmp_path / "none.toml", environ={})


def test_each_invalid_value_is_reported_with_its_source() -> None:
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


def test_printed_settings_can_be_loaded_again() -> None:
    """The output of `triptych config` is a valid settings file."""
    settings = load(environ={"TRIPTYCH_WINDOW_HOP_MS": "500", "TRIPTYCH_LOG_LEVEL": "debug"})

    again = Settings.model_validate(tomllib.loads(to_toml(settings)))

    assert again == settings


def test_variables_that_are_not_settings_are_ignored() -> None:
    """`OTHER_VARIABLES` lists them."""
    settings = load(environ=dict.fromkeys(loading.OTHER_VARIABLES - {"TRIPTYCH_CONFIG"}, "1"))

    assert settings == Settings()


def test_a_secret_is_never_printed() -> None:
    """Neither by `triptych config`, nor by `repr`, nor in an error about another setting."""
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
    assert "# password is set, and not printed" in shown
    assert "TRIPTYCH_KAFKA_PASSWORD" in str(caught.value)
