"""Read and publish records through a broker: Kafka, or an in-memory broker for one process.

Each name is imported from its module on first use, so importing this package is cheap.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from triptych.transport.errors import TransportError
    from triptych.transport.kafka.transport import KafkaTransport
    from triptych.transport.memory.transport import MemoryTransport
    from triptych.transport.open import open_transport
    from triptych.transport.protocols import (
        GroupConsumer,
        Publisher,
        Reader,
        TopicAdmin,
        TransactionalPublisher,
        Transport,
    )
    from triptych.transport.records import Message, Record, TopicPartition

__all__ = [
    "GroupConsumer",
    "KafkaTransport",
    "MemoryTransport",
    "Message",
    "Publisher",
    "Reader",
    "Record",
    "TopicAdmin",
    "TopicPartition",
    "TransactionalPublisher",
    "Transport",
    "TransportError",
    "open_transport",
]

_MODULES = {
    "GroupConsumer": "triptych.transport.protocols",
    "KafkaTransport": "triptych.transport.kafka.transport",
    "MemoryTransport": "triptych.transport.memory.transport",
    "Message": "triptych.transport.records",
    "Publisher": "triptych.transport.protocols",
    "Reader": "triptych.transport.protocols",
    "Record": "triptych.transport.records",
    "TopicAdmin": "triptych.transport.protocols",
    "TopicPartition": "triptych.transport.records",
    "TransactionalPublisher": "triptych.transport.protocols",
    "Transport": "triptych.transport.protocols",
    "TransportError": "triptych.transport.errors",
    "open_transport": "triptych.transport.open",
}


def __getattr__(name: str) -> object:
    """Import a public name from its module on first use."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)
