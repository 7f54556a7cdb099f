"""Which client of Kafka the settings choose."""

from __future__ import annotations

import pytest

from tests.servers import require_librdkafka
from triptych.settings.kafka import KafkaSettings
from triptych.transport import open as clients
from triptych.transport.errors import StopError
from triptych.transport.kafka.transport import KafkaTransport


def installed(monkeypatch: pytest.MonkeyPatch, *, librdkafka: bool, codecs: bool = True) -> None:
    """Make it look as if only these packages were installed."""

    def require() -> None:
        if not codecs:
            raise StopError("packages are missing")

    monkeypatch.setattr(clients, "find_spec", lambda _: object() if librdkafka else None)
    monkeypatch.setattr("triptych.transport.kafka.transport.require_codecs", require)


@pytest.mark.parametrize(
    ("client", "librdkafka", "codecs", "chosen"),
    [
        ("auto", True, True, "kafka-python"),
        ("auto", False, True, "kafka-python"),
        ("auto", True, False, "librdkafka"),
        ("auto", False, False, "kafka-python"),
        ("kafka-python", True, False, "kafka-python"),
        ("librdkafka", True, True, "librdkafka"),
    ],
)
def test_the_settings_choose_the_client(
    monkeypatch: pytest.MonkeyPatch, client: str, chosen: str, *, librdkafka: bool, codecs: bool
) -> None:
    """`auto` is kafka-python, unless its packages are missing and the other client is there."""
    installed(monkeypatch, librdkafka=librdkafka, codecs=codecs)

    assert clients.chosen_client(KafkaSettings.model_validate({"client": client})) == chosen


def test_the_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the command that installs it."""
    installed(monkeypatch, librdkafka=False)

    with pytest.raises(StopError, match=r"kafka\.client: librdkafka needs .* pip install 'triptych\[librdkafka\]'"):
        clients.open_transport(KafkaSettings(client="librdkafka"))


def test_each_client_has_its_transport() -> None:
    """The same protocol, by another package."""
    require_librdkafka()
    from triptych.transport.librdkafka.transport import LibrdkafkaTransport

    assert isinstance(clients.open_transport(KafkaSettings()), KafkaTransport)
    assert isinstance(clients.open_transport(KafkaSettings(client="librdkafka")), LibrdkafkaTransport)
