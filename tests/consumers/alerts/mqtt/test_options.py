"""What the flags of `triptych alert` ask for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from triptych.consumers.alerts.alert import AlertOptions, for_each_receiver
from triptych.consumers.alerts.mqtt.options import MqttOptions, mqtt_options
from triptych.schemas.errors import UsageError

NONE: dict[str, Any] = {"name": None, "prompt_score": None, "people": False}


@pytest.mark.parametrize("flags", [{"name": "dog"}, {"prompt_score": 0.0}, {"people": True}])
def test_sensors_need_a_broker(flags: dict[str, Any]) -> None:
    """Otherwise they would be left out in silence."""
    with pytest.raises(UsageError, match="--mqtt URL"):
        mqtt_options(None, **(NONE | flags))
    assert mqtt_options("mqtt://broker", **(NONE | flags)) is not None
    assert mqtt_options(None, **NONE) is None


@pytest.mark.parametrize("name", ["", " ", "a\nb", "a" * 201])
def test_a_name_can_be_shown(name: str) -> None:
    """It is the name of a sensor."""
    with pytest.raises(UsageError, match="--name"):
        mqtt_options("mqtt://broker", **(NONE | {"name": name}))


def test_each_receiver_has_a_cursor_file(tmp_path: Path) -> None:
    """The first one the file that was named, so that a webhook keeps its progress when a broker is added."""
    options = AlertOptions("speech > .5", "", tmp_path / "secret", tmp_path / "cursor")
    broker = mqtt_options("mqtt://broker", **NONE)
    urls = ["https://example.org/a", "https://example.org/b"]
    alone = for_each_receiver(options, urls)
    both = for_each_receiver(options, urls, broker)
    assert [each.cursor_file for each in both[:2]] == [each.cursor_file for each in alone]
    assert alone[0].cursor_file == tmp_path / "cursor"
    assert len({each.cursor_file for each in both}) == 3
    assert isinstance(both[2].mqtt, MqttOptions)
    [only] = for_each_receiver(options, [], broker)
    assert only.cursor_file == tmp_path / "cursor"


def test_a_receiver_is_needed_and_a_secret_for_a_webhook(tmp_path: Path) -> None:
    """The errors name the flags."""
    options = AlertOptions("speech > .5", "", None, tmp_path / "cursor")
    with pytest.raises(UsageError, match="--url URL, --mqtt URL"):
        for_each_receiver(options, [])
    with pytest.raises(UsageError, match="--secret-file"):
        for_each_receiver(options, ["https://example.org/"], mqtt_options("mqtt://broker", **NONE))
