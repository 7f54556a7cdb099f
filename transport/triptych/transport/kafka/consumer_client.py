"""Open, check and close kafka-python's consumer client."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress

from kafka import KafkaConsumer, errors
from kafka.coordinator.assignors.range import RangePartitionAssignor

from triptych.settings.kafka import KafkaSettings
from triptych.transport.errors import BrokerUnavailableError, TopicMissingError, TransportError
from triptych.transport.kafka.connect import CONNECT_LIMIT_MS, connect
from triptych.transport.kafka.errors import translating
from triptych.transport.watchdog import within

REQUEST_LIMIT_MS = 10_000
"""The time limit of one request; after it the broker counts as unavailable."""
CLOSE_LIMIT_MS = 5_000
RETRY_DELAY_S = 0.1
"""The delay after a transient failure, so that retries do not spin."""
HEARTBEAT_MAX_MS = 3_000
HEARTBEATS_PER_SESSION = 9
"""Members learn of a rebalance from the answer to a heartbeat. With only three in a short session timeout, results
paused for a third of it longer after a crash."""
FETCH_BYTES = 4 << 20
PARTITION_FETCH_BYTES = 512 << 10
"""The client holds one response while it fetches the next, plus a share for each paused partition, all in addition to
our own bound. With four times as much, a worker held twice its bound. Larger records are delivered all the same."""


def open_client(settings: KafkaSettings, *, group: str | None) -> KafkaConsumer:
    """Open a consumer client with the settings that all reading uses. With `group` None it joins no group."""
    return connect(
        KafkaConsumer,
        settings,
        group_id=group,
        auto_offset_reset="none",
        enable_auto_commit=False,
        isolation_level="read_committed",
        partition_assignment_strategy=[RangePartitionAssignor()],
        max_poll_records=1_000_000,
        fetch_max_bytes=FETCH_BYTES,
        max_partition_fetch_bytes=PARTITION_FETCH_BYTES,
        fetch_max_wait_ms=100,
        group_instance_id=settings.group_instance_id if group else None,
        max_poll_interval_ms=settings.max_poll_interval_ms,
        session_timeout_ms=settings.session_timeout_ms,
        heartbeat_interval_ms=min(HEARTBEAT_MAX_MS, settings.session_timeout_ms // HEARTBEATS_PER_SESSION),
        allow_auto_create_topics=False,
        metrics_enabled=False,
    )


def require_topics(client: KafkaConsumer, topics: Iterable[str]) -> None:
    """Check that all these topics exist; otherwise close the client.

    A broker that has just restarted answers that there are no brokers, until the controller registers it again. So the
    request is repeated for `CONNECT_LIMIT_MS`.

    Raises:
        TopicMissingError: a topic does not exist.
        BrokerUnavailableError: the broker did not answer, or knows of no broker.
    """
    topics = tuple(topics)
    deadline_s = time.monotonic() + CONNECT_LIMIT_MS / 1_000
    try:
        while (missing := _missing(client, topics)) is None:
            if time.monotonic() > deadline_s:
                raise BrokerUnavailableError("asking the broker for its topics: it reports that there are no brokers")
            time.sleep(RETRY_DELAY_S)
        if missing:
            raise TopicMissingError(
                f"no such topic: {', '.join(missing)}; `triptych topics create` creates them (if the broker "
                "has ACLs, a topic that this user may not describe looks the same)"
            )
    except TransportError:
        close_client(client)
        raise


def _missing(client: KafkaConsumer, topics: Sequence[str]) -> list[str] | None:
    """Return the topics that do not exist; None if the broker knows of no broker at all."""

    def ask() -> list[str] | None:
        try:
            return [topic for topic in topics if not client.partitions_for_topic(topic)]
        except errors.MetadataEmptyBrokerList:
            return None

    with translating("asking the broker for its topics"):
        return within(REQUEST_LIMIT_MS / 1_000, "asking the broker for its topics", ask)


@contextmanager
def leaders_known() -> Iterator[None]:
    """Translate the error for partitions without a leader: the client omits them from its response."""
    try:
        yield
    except KeyError as missing:
        raise BrokerUnavailableError(f"{missing.args[0]} has no leader now") from None


def close_client(client: KafkaConsumer) -> None:
    """Close a client. Abandon it if it is not closed after twice its own limit."""
    with suppress(BrokerUnavailableError):  # the abandoned threads end with the process
        within(
            2 * CLOSE_LIMIT_MS / 1_000,
            "closing a consumer",
            lambda: client.close(autocommit=False, timeout_ms=CLOSE_LIMIT_MS),
        )
