"""Which errors of librdkafka are transient."""

from __future__ import annotations

import pytest

pytest.importorskip("confluent_kafka")

from confluent_kafka import KafkaError, KafkaException

from triptych.transport.errors import BrokerUnavailableError
from triptych.transport.librdkafka.errors import querying, translating


@pytest.mark.parametrize("name", ["_TRANSPORT", "_ALL_BROKERS_DOWN", "_TIMED_OUT", "_DESTROY", "_DESTROY_BROKER"])
def test_a_broker_that_is_gone_is_a_transient_cause(name: str) -> None:
    """Also one that the client has forgotten meanwhile: seen once when all brokers had been killed."""
    for inside in (querying, translating):
        with pytest.raises(BrokerUnavailableError, match="asking for end offsets"), inside("asking for end offsets"):
            raise KafkaException(KafkaError(getattr(KafkaError, name)))
