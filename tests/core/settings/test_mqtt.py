"""The settings of the MQTT client."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from triptych.settings.loading import load, to_toml
from triptych.settings.mqtt import MqttSettings
from triptych.settings.section import SettingsError


def test_the_password_comes_from_a_file_or_the_environment(tmp_path: Path) -> None:
    """And is never printed."""
    (tmp_path / "password").write_text("quiet\n", encoding="utf-8")
    assert MqttSettings(username="triptych", password_file=tmp_path / "password").secret() == "quiet"
    settings = load(environ={"TRIPTYCH_MQTT_USERNAME": "triptych", "TRIPTYCH_MQTT_PASSWORD": "quiet"})
    assert settings.mqtt.secret() == "quiet"
    assert "quiet" not in to_toml(settings) + repr(settings)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"mqtt.password": "quiet"}, "needs username"),
        ({"mqtt.username": "a", "mqtt.password": "quiet", "mqtt.password_file": "b"}, "not both"),
        ({"mqtt.ssl_key_file": "key.pem"}, "together"),
        ({"mqtt.discovery_prefix": "a/#"}, "mqtt.discovery_prefix"),
    ],
)
def test_contradictory_settings_are_an_error(given: dict[str, Any], message: str) -> None:
    """The message says what belongs together, without the password."""
    with pytest.raises(SettingsError, match=message) as refused:
        load(overrides=given, environ={})
    assert "quiet" not in str(refused.value)
