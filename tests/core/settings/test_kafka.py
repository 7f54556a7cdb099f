"""Validation of the Kafka settings."""

from __future__ import annotations

import pytest

from triptych.settings.loading import load
from triptych.settings.section import SettingsError


def test_a_hand_over_ends_before_the_group_removes_the_worker() -> None:
    """The limit must be 5 s below `max_poll_interval_ms`."""
    load(overrides={"kafka.hand_over_limit_ms": 1_000, "kafka.max_poll_interval_ms": 6_000}, environ={})

    with pytest.raises(SettingsError, match=r"hand_over_limit_ms must be at most 5000, .*; got 6000"):
        load(overrides={"kafka.hand_over_limit_ms": 6_000, "kafka.max_poll_interval_ms": 10_000}, environ={})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"sasl_mechanism": "PLAIN"}, "sasl_mechanism and a security_protocol with SASL must be set together"),
        ({"security_protocol": "SASL_SSL"}, "sasl_mechanism and a security_protocol with SASL must be set together"),
        (
            {"security_protocol": "SASL_SSL", "sasl_mechanism": "PLAIN", "username": "u"},
            "PLAIN needs username, and",
        ),
        (
            {"security_protocol": "SASL_SSL", "sasl_mechanism": "OAUTHBEARER"},
            "OAUTHBEARER needs either",
        ),
        ({"ssl_cert_file": "cert.pem"}, "ssl_cert_file and ssl_key_file must be set together"),
    ],
)
def test_incomplete_credentials_are_an_error(given: dict[str, str], message: str) -> None:
    """Found before connecting: the error of a broker says less."""
    with pytest.raises(SettingsError, match=message):
        load(None, {f"kafka.{name}": value for name, value in given.items()}, environ={})


@pytest.mark.parametrize("numbers", ["0", "6,0", "6,", "06", "six", "6, 9"])
def test_topics_never_had_no_partitions(numbers: str) -> None:
    """Partitions are computed by these numbers: a zero would end the worker at the first misplaced record."""
    for accepted in ("", "6", "3,6,10000"):
        assert load(overrides={"kafka.earlier_partitions": accepted}, environ={}).kafka.earlier_partitions == accepted

    with pytest.raises(SettingsError, match=r"kafka\.earlier_partitions"):
        load(overrides={"kafka.earlier_partitions": numbers}, environ={})
