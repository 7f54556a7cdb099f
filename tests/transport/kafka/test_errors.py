"""How the errors of kafka-python are translated."""

from __future__ import annotations

import pytest
from kafka import errors

from triptych.transport.errors import BrokerUnavailableError, RetriableError, StopError, TransportError
from triptych.transport.kafka.errors import translated


@pytest.mark.parametrize(
    "error",
    [
        errors.UnknownBrokerIdError(3),  # the leader left the cluster after the client had heard of the topic
        errors.BrokerNotAvailableError("away"),
        errors.NodeNotReadyError("3"),
        errors.KafkaConnectionError("reset"),
        errors.RequestTimedOutError("late"),
    ],
)
def test_a_broker_that_is_away_is_asked_again(error: errors.KafkaError) -> None:
    """The worker goes on with the next answer about the topics."""
    ours = translated(error, "asking the broker at kafka:9092 for the ends of partitions")

    assert isinstance(ours, BrokerUnavailableError)
    assert isinstance(ours, RetriableError)
    assert str(ours).startswith("asking the broker at kafka:9092 for the ends of partitions: ")


@pytest.mark.parametrize("error", [errors.UnsupportedVersionError("old"), errors.UnrecognizedBrokerVersion("?")])
def test_an_error_that_lasts_is_not_tried_again(error: errors.KafkaError) -> None:
    """The program ends with it."""
    ours: TransportError = translated(error, "connecting")

    assert not isinstance(ours, RetriableError)
    assert isinstance(ours, StopError) is isinstance(error, errors.UnsupportedVersionError)
