"""Create and describe Kafka topics with librdkafka (see `TopicAdmin`)."""

from __future__ import annotations

import base64
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, Final

from confluent_kafka import IsolationLevel, KafkaError, KafkaException, TopicCollection
from confluent_kafka import TopicPartition as ClientPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined] # imported there, but not exported
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ConfigSource,
    NewPartitions,
    NewTopic,
    OffsetSpec,
    ResourceType,
)

from triptych.settings.kafka import KafkaSettings
from triptych.transport.errors import BrokerUnavailableError
from triptych.transport.kafka.admin import CALL_LIMIT_S, CLOSE_LIMIT_S, REQUEST_LIMIT_MS, RETRY_DELAY_S
from triptych.transport.librdkafka.connect import connect, require_brokers
from triptych.transport.librdkafka.consumer_client import ours
from triptych.transport.librdkafka.errors import NO_COORDINATOR, kafka_error_of, querying, translating
from triptych.transport.records import Member, TopicPartition
from triptych.transport.topic_settings import TopicIdentity, TopicSettings, TopicState
from triptych.transport.watchdog import within

REQUEST_LIMIT_S: Final = REQUEST_LIMIT_MS / 1_000
ALTER_SHOWS_S: Final = 2.0
"""How long altered settings may take to show. A value may be shown in another form than it was given in."""


class LibrdkafkaAdmin:
    """Administers the topics of one Kafka cluster (see `TopicAdmin`)."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._where = settings.bootstrap_servers
        self.closed = False
        self._client, _ = connect(AdminClient, settings, {})

    def create(self, topics: Sequence[TopicSettings]) -> tuple[str, ...]:
        """Create the topics that do not exist, and wait until they are usable."""
        created = tuple(topic.name for topic in topics if self._create(topic))
        doing = f"waiting for new topics at {self._where}"
        deadline_s = time.monotonic() + REQUEST_LIMIT_S
        while not self._are_usable(created):
            if time.monotonic() > deadline_s:
                raise BrokerUnavailableError(f"{doing}: {', '.join(created)} have no leaders yet")
            time.sleep(RETRY_DELAY_S)
        return created

    def describe(self, names: Sequence[str]) -> dict[str, TopicState]:
        """Return the state of each existing topic, with the broker's defaults."""
        doing = f"describing topics at {self._where}"
        listed = require_brokers(self._client, doing, CALL_LIMIT_S).topics
        found = {name: len(listed[name].partitions) for name in names if name in listed}
        resources = [ConfigResource(ResourceType.TOPIC, name) for name in found]
        if not resources:
            return {}
        with translating(doing):
            answers = self._client.describe_configs(resources, request_timeout=REQUEST_LIMIT_S)
            configs = {resource.name: _answer(answer) for resource, answer in answers.items()}
        return {
            name: TopicState(name, partitions, {setting: str(entry.value) for setting, entry in configs[name].items()})
            for name, partitions in found.items()
        }

    def identify(self, names: Sequence[str]) -> dict[str, TopicIdentity]:
        """Return the identity of each existing topic."""
        doing = f"asking for the ids of topics at {self._where}"
        identities: dict[str, TopicIdentity] = {}
        listed = require_brokers(self._client, doing, CALL_LIMIT_S).topics
        found_names = [name for name in names if name in listed]
        if not found_names:
            return identities
        with querying(doing):
            answers = self._client.describe_topics(TopicCollection(found_names), request_timeout=REQUEST_LIMIT_S)
            for name, answer in answers.items():
                try:
                    topic = _answer(answer)
                except KafkaException as found:
                    if kafka_error_of(found).code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                        raise
                else:
                    identities[name] = TopicIdentity(_uuid(topic.topic_id), len(topic.partitions))
        return identities

    def names(self) -> tuple[str, ...]:
        """Return the names of all topics that exist, except internal ones."""
        listed = require_brokers(self._client, f"asking for the names of topics at {self._where}", CALL_LIMIT_S).topics
        return tuple(name for name in listed if not name.startswith("__"))

    def grow(self, partitions: Mapping[str, int]) -> None:
        """Add partitions to topics, up to these numbers, in one request."""
        wanted = [NewPartitions(topic, count) for topic, count in partitions.items()]
        with translating(f"adding partitions to {', '.join(partitions)} at {self._where}"):
            for answer in self._client.create_partitions(wanted, request_timeout=REQUEST_LIMIT_S).values():
                _answer(answer)

    def alter(self, name: str, configs: Mapping[str, str]) -> None:
        """Set some of a topic's configs."""
        entries = [
            ConfigEntry(
                setting,
                value,
                source=ConfigSource.DYNAMIC_TOPIC_CONFIG,
                incremental_operation=AlterConfigOpType.SET,
            )
            for setting, value in configs.items()
        ]
        resource = ConfigResource(ResourceType.TOPIC, name, incremental_configs=entries)
        with translating(f"altering the topic {name} at {self._where}", name):
            (answer,) = self._client.incremental_alter_configs([resource], request_timeout=REQUEST_LIMIT_S).values()
            _answer(answer)
        # The controller has answered; the broker that describes topics learns of it a moment later.
        deadline_s = time.monotonic() + ALTER_SHOWS_S
        while not self._shows(name, configs) and time.monotonic() < deadline_s:
            time.sleep(RETRY_DELAY_S)

    def partition_count(self, topic: str) -> int | None:
        """Return the number of partitions, or None if the topic does not exist."""
        state = self.describe([topic]).get(topic)
        return None if state is None else state.partitions

    def appended_offsets(self, tps: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """Return the end offsets, counting open transactions."""
        wanted = {ClientPartition(*tp): OffsetSpec.latest() for tp in tps}  # type: ignore[no-untyped-call] # the client is typed in part
        if not wanted:
            return {}
        with querying(f"asking the broker at {self._where} for the ends of partitions"):
            answers = self._client.list_offsets(
                wanted, isolation_level=IsolationLevel.READ_UNCOMMITTED, request_timeout=REQUEST_LIMIT_S
            )
            return {ours(tp): int(_answer(answer).offset) for tp, answer in answers.items()}

    def delete_records(self, before: Mapping[TopicPartition, int]) -> None:
        """Delete the records before the given offsets."""
        with translating(f"deleting records at {self._where}"):
            wanted = [ClientPartition(*tp, offset) for tp, offset in before.items()]
            for answer in self._client.delete_records(wanted, request_timeout=REQUEST_LIMIT_S).values():
                _answer(answer)

    def members(self, group: str) -> tuple[Member, ...]:
        """Return the current members of a group."""
        with translating(f"asking for the members of group {group} at {self._where}", group):
            found = self._describe_group(group)
        return tuple(Member(m.member_id, m.host, m.group_instance_id or None) for m in found)

    def close(self) -> None:
        """Close the connections."""
        if not self.closed:
            self.closed = True
            with suppress(BrokerUnavailableError):  # the abandoned thread ends with the process
                within(CLOSE_LIMIT_S, f"closing the admin client of {self._where}", _closing(self._client))

    def _describe_group(self, group: str) -> Sequence[Any]:
        """Retry until there is a coordinator: a new cluster creates its offsets topic on the first request."""
        deadline_s = time.monotonic() + REQUEST_LIMIT_S
        while True:
            try:
                described = self._client.describe_consumer_groups([group], request_timeout=REQUEST_LIMIT_S)[group]
                return tuple(_answer(described).members)
            except KafkaException as found:
                code = kafka_error_of(found).code()
                if code == KafkaError.GROUP_ID_NOT_FOUND:
                    return ()
                if code not in NO_COORDINATOR or time.monotonic() >= deadline_s:
                    raise
                time.sleep(RETRY_DELAY_S)

    def _create(self, topic: TopicSettings) -> bool:
        wanted = NewTopic(
            topic.name,
            num_partitions=topic.partitions,
            replication_factor=topic.replication,
            config=dict(topic.configs),
        )
        with translating(f"creating the topic {topic.name} at {self._where}", topic.name):
            try:
                _answer(self._client.create_topics([wanted], request_timeout=REQUEST_LIMIT_S)[topic.name])
            except KafkaException as found:
                if kafka_error_of(found).code() == KafkaError.TOPIC_ALREADY_EXISTS:
                    return False
                raise
        return True

    def _shows(self, name: str, configs: Mapping[str, str]) -> bool:
        state = self.describe([name]).get(name)
        return state is not None and configs.items() <= state.configs.items()

    def _are_usable(self, names: Sequence[str]) -> bool:
        if not names:
            return True
        known = require_brokers(self._client, f"waiting for new topics at {self._where}", REQUEST_LIMIT_S).topics
        return all(
            name in known
            and known[name].error is None
            and known[name].partitions
            and all(partition.leader >= 0 for partition in known[name].partitions.values())
            for name in names
        )


def _answer(future: Future[Any]) -> Any:  # noqa: ANN401 - the client's futures have no type
    """Return the answer to one request. The client ends each request after its own limit."""
    return future.result(CALL_LIMIT_S)


def _uuid(topic_id: Any) -> str:  # noqa: ANN401 - the client's type is not exported by its stubs
    """Return a topic's id as kafka-python writes it; empty if the broker has none."""
    found = uuid.UUID(bytes=base64.urlsafe_b64decode(f"{topic_id}=="))
    return str(found) if found.int else ""


def _closing(client: AdminClient) -> Callable[[], object]:
    return lambda: client.__exit__(None, None, None)
