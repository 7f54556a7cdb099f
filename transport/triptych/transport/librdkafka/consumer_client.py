"""Open, check and close librdkafka's consumer client."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Final

from confluent_kafka import Consumer, KafkaException
from confluent_kafka import TopicPartition as ClientPartition

from triptych.settings.kafka import KafkaSettings
from triptych.transport.errors import BrokerUnavailableError, TopicMissingError, TransportError
from triptych.transport.kafka.consumer_client import (
    CLOSE_LIMIT_MS,
    FETCH_BYTES,
    HEARTBEAT_MAX_MS,
    HEARTBEATS_PER_SESSION,
    REQUEST_LIMIT_MS,
)
from triptych.transport.librdkafka.connect import ClientErrors, Configs, connect, require_brokers
from triptych.transport.librdkafka.errors import NO_COORDINATOR, kafka_error_of, query_error, querying
from triptych.transport.records import TopicPartition
from triptych.transport.watchdog import within

QUEUE_BYTES: Final = 8 << 20
"""How much the client reads ahead, for all partitions together and in addition to our own bound. A poll returns no more
than this, and one response beyond it."""
LIBRDKAFKA_PARTITION_BYTES: Final = 1 << 20
"""The part of a response for one partition. It may be larger than kafka-python's, since the queue is bounded."""
QUEUE_FULL_DELAY_MS: Final = 5
"""How long the client waits to fetch again after its queue was full. With its default of 1 s, reading would pause each
time that a poll has emptied the queue."""
RESPONSE_BYTES: Final = 100 << 20
MAX_BYTES: Final = (1 << 31) - 1
STATISTICS_PER_HEARTBEAT: Final = 2
QUERY_LIMIT_S: Final = REQUEST_LIMIT_MS / 1_000
EARLIEST: Final = -2
LATEST: Final = -1
"""Kafka's timestamps for the first offset and the end of a partition."""
_NO_COORDINATOR_DELAY_S: Final = 0.1


def heartbeat_interval_ms(settings: KafkaSettings) -> int:
    """Return how often a member sends a heartbeat."""
    return min(HEARTBEAT_MAX_MS, settings.session_timeout_ms // HEARTBEATS_PER_SESSION)


def open_consumer(settings: KafkaSettings, *, group: str | None, configs: Configs) -> tuple[Consumer, ClientErrors]:
    """Open a consumer client with the settings that all reading uses. With `group` None it joins no group."""
    return connect(Consumer, settings, {**_fetch_configs(settings), **_group_configs(settings, group), **configs})


def _fetch_configs(settings: KafkaSettings) -> Configs:
    return {
        "auto.offset.reset": "error",
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "enable.partition.eof": True,  # tells the position behind records that readers are not given
        "isolation.level": "read_committed",
        "check.crcs": True,
        "allow.auto.create.topics": False,
        "fetch.max.bytes": FETCH_BYTES,
        "max.partition.fetch.bytes": LIBRDKAFKA_PARTITION_BYTES,
        "fetch.wait.max.ms": 100,
        "fetch.error.backoff.ms": 100,
        "fetch.queue.backoff.ms": QUEUE_FULL_DELAY_MS,
        "queued.max.messages.kbytes": QUEUE_BYTES >> 10,
        "receive.message.max.bytes": min(MAX_BYTES, max(RESPONSE_BYTES, 2 * settings.max_record_bytes)),
    }


def _group_configs(settings: KafkaSettings, group: str | None) -> Configs:
    if group is None:
        return {"group.id": "triptych-no-group"}  # the client requires a name, and does not use it
    heartbeat_ms = heartbeat_interval_ms(settings)
    configs: Configs = {
        "group.id": group,
        "group.protocol": "classic",
        "partition.assignment.strategy": "range",
        "session.timeout.ms": settings.session_timeout_ms,
        # librdkafka requires this order of the two
        "max.poll.interval.ms": max(settings.max_poll_interval_ms, settings.session_timeout_ms),
        "heartbeat.interval.ms": heartbeat_ms,
        "statistics.interval.ms": heartbeat_ms // STATISTICS_PER_HEARTBEAT,
    }
    if settings.group_instance_id is not None:
        configs["group.instance.id"] = settings.group_instance_id
    return configs


def require_topics(client: Consumer, topics: Iterable[str]) -> None:
    """Check that all these topics exist; otherwise close the client.

    Raises:
        TopicMissingError: a topic does not exist.
        BrokerUnavailableError: the broker did not answer, or knows of no broker.
    """
    try:
        known = require_brokers(client, "asking the broker for its topics", REQUEST_LIMIT_MS / 1_000).topics
        missing = [topic for topic in topics if topic not in known or known[topic].error is not None]
        if missing:
            raise TopicMissingError(
                f"no such topic: {', '.join(missing)}; `triptych topics create` creates them (if the broker has ACLs, "
                "a topic that this user may not describe looks the same)"
            )
    except TransportError:
        close_consumer(client)
        raise


def close_consumer(client: Consumer) -> None:
    """Close a client. Abandon it if it is not closed in time."""
    with suppress(BrokerUnavailableError):  # the abandoned thread ends with the process
        within(2 * CLOSE_LIMIT_MS / 1_000, "closing a consumer", client.close)


def ours(tp: ClientPartition) -> TopicPartition:
    """Return our name for the client's partition."""
    return TopicPartition(tp.topic, tp.partition)


def query_commits(client: Consumer, tps: list[ClientPartition], limit_s: float) -> list[ClientPartition]:
    """Query a group's committed offsets, until there is a coordinator. Blocks for up to twice the limit.

    kafka-python tries again by itself; this client does not.

    Raises:
        KafkaException: the client's error.
    """
    deadline_s = time.monotonic() + limit_s
    while True:
        try:
            return client.committed(tps, timeout=limit_s)
        except KafkaException as found:
            if kafka_error_of(found).code() not in NO_COORDINATOR or time.monotonic() >= deadline_s:
                raise
            time.sleep(_NO_COORDINATOR_DELAY_S)


def query_offsets(
    client: Consumer, where: str, times_ms: Mapping[TopicPartition, int], what: str
) -> dict[TopicPartition, int]:
    """Query offsets by time, in milliseconds since the epoch or `EARLIEST` or `LATEST`; below 0 where there is none.

    Raises:
        BrokerUnavailableError: no broker answered in time, or a partition has no leader.
    """
    if not times_ms:
        return {}
    doing = f"asking the broker at {where} for {what}"
    with querying(doing):
        found = client.offsets_for_times(
            [ClientPartition(*tp, time_ms) for tp, time_ms in times_ms.items()], timeout=QUERY_LIMIT_S
        )
    for tp in found:
        if tp.error is not None:
            raise query_error(tp.error, doing, tp.topic)
    return {ours(tp): tp.offset for tp in found}
