"""Addresses of brokers, and names that are valid in topics."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triptych.consumers.alerts.mqtt.address import MqttAddress, object_id
from triptych.schemas.errors import UsageError


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("mqtt://broker", MqttAddress("broker", 1883, tls=False, prefix="triptych")),
        ("mqtts://broker/", MqttAddress("broker", 8883, tls=True, prefix="triptych")),
        ("mqtt://10.0.0.1:1884/home/cameras/", MqttAddress("10.0.0.1", 1884, tls=False, prefix="home/cameras")),
        ("mqtts://[::1]:8884/x", MqttAddress("::1", 8884, tls=True, prefix="x")),
    ],
)
def test_a_url_is_an_address(url: str, expected: MqttAddress) -> None:
    """Port and topic have defaults, and the address is a URL again."""
    address = MqttAddress.parse(url)
    assert address == expected
    assert MqttAddress.parse(str(address)) == address


@pytest.mark.parametrize(
    "url",
    [
        *("broker:1883", "http://broker", "mqtt://", "mqtt://user:hidden@broker", "mqtt://broker:x", "mqtt://broker:0"),
        *(
            "mqtt://broker/#",
            "mqtt://broker/a/+/b",
            "mqtt://broker/a//b",
            "mqtt://broker/a?b",
            "mqtt://broker/$SYS",
            "",
        ),
        "mqtt://broker/" + "a" * 200,
    ],
)
def test_an_invalid_url_is_rejected(url: str) -> None:
    """The error says where the login belongs, and does not repeat the URL: there may be a password in it."""
    with pytest.raises(UsageError, match="TRIPTYCH_MQTT_PASSWORD_FILE") as refused:
        MqttAddress.parse(url)
    assert "hidden" not in str(refused.value)


@given(st.lists(st.text(), min_size=2, max_size=6, unique=True))
def test_different_names_have_different_valid_ids(names: list[str]) -> None:
    """Home Assistant takes `[A-Za-z0-9_-]` only. An id that is taken for a name is another one."""
    ids = [object_id(name) for name in names]
    ids += [object_id(found) for found in ids if found not in names]
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,128}", found) for found in ids)
    assert len(set(ids)) >= len(names)
    assert all(object_id(name) == found for name, found in zip(names, ids, strict=False))


def test_an_id_cannot_be_taken_by_a_name_that_looks_like_it() -> None:
    """A plain name stays as it is; `.` is not allowed, and gets a digest."""
    assert object_id("front-door_2") == "front-door_2"
    digested = object_id("front.door")
    assert re.fullmatch(r"front_door_[0-9a-f]{12}", digested)
    assert object_id(digested) != digested
    assert len({object_id(name) for name in ("a.b", "a_b", "a-b", "A.b", "a..b", ".a.b", "..", "...")}) == 8
