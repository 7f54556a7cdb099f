"""Create and describe Kafka topics."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from kafka import KafkaAdminClient, errors
from kafka.admin import ConfigResource, ConfigResourceType, OffsetSpec

from triptych.settings.kafka import KafkaSettings
from triptych.transport.errors import BrokerUnavailableError
from triptych.transport.kafka.connect import connect
from triptych.transport.kafka.errors import translating
from triptych.transport.kafka.rebalance import ours, theirs
from triptych.transport.records import Member, TopicPartition
from triptych.transport.topic_settings import TopicIdentity, TopicSettings, TopicState
from triptych.transport.watchdog import within

Answer = TypeVar("Answer")

REQUEST_LIMIT_MS = 10_000
CALL_LIMIT_S = 30.0
"""The limit for calls whose single requests the client bounds, but which it repeats to find leaders or controllers."""
CLOSE_LIMIT_S = 5.0
RETRY_DELAY_S = 0.1


class KafkaAdmin:
    """Administers the topics of one Kafka cluster (see `TopicAdmin`)."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._where = settings.bootstrap_servers
        self.closed = False
        self._client = connect(KafkaAdminClient, settings, request_timeout_ms=REQUEST_LIMIT_MS)

    def create(self, topics: Sequence[TopicSettings]) -> tuple[str, ...]:
        """Create the topics that do not exist, and wait until they are usable."""
        created = tuple(topic.name for topic in topics if self._create(topic))
        with translating(f"waiting for new topics at {self._where}"):
            self._client.wait_for_topics(list(created), timeout_ms=REQUEST_LIMIT_MS)
        return created

    def describe(self, names: Sequence[str]) -> dict[str, TopicState]:
        """Return the state of each existing topic, with the broker's defaults."""
        with translating(f"describing topics at {self._where}"):
            # List all topics: requesting one by name would create it if the broker auto-creates topics.
            listed = self._limited("the list of topics", self._client.describe_topics)
            found = {topic["name"]: len(topic["partitions"]) for topic in listed if topic["name"] in names}
            if not found:
                return {}
            resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in found]
            configs = self._limited(
                "the settings of topics", lambda: self._client.describe_configs(resources, config_filter="all")
            )["topic"]
        return {
            name: TopicState(
                name, found[name], {setting: str(entry["value"]) for setting, entry in configs[name].items()}
            )
            for name in names
            if name in found
        }

    def identify(self, names: Sequence[str]) -> dict[str, TopicIdentity]:
        """Return the identity of each existing topic."""
        with translating(f"asking for the ids of topics at {self._where}"):
            # By name: it is asked often, and a cluster may have thousands. The client forbids brokers to create them.
            asked = self._limited("topics", lambda: self._client.describe_topics(list(names)))
        return {
            topic["name"]: TopicIdentity(str(topic.get("topic_id") or ""), len(topic["partitions"]))
            for topic in asked
            if topic["partitions"]  # none, with an error, of a topic that does not exist or may not be seen
        }

    def names(self) -> tuple[str, ...]:
        """Return the names of all topics that exist, except internal ones."""
        with translating(f"asking for the names of topics at {self._where}"):
            listed = self._limited("the list of topics", self._client.describe_topics)
        return tuple(topic["name"] for topic in listed if not topic.get("is_internal"))

    def grow(self, partitions: Mapping[str, int]) -> None:
        """Add partitions to topics, up to these numbers, in one request."""
        with translating(f"adding partitions to {', '.join(partitions)} at {self._where}"):
            self._limited(
                "more partitions",
                lambda: self._client.create_partitions(dict(partitions), timeout_ms=REQUEST_LIMIT_MS),
            )

    def alter(self, name: str, configs: Mapping[str, str]) -> None:
        """Set some of a topic's configs."""
        with translating(f"altering the topic {name} at {self._where}"):
            resource = ConfigResource(ConfigResourceType.TOPIC, name, dict(configs))
            self._limited("a topic's settings", lambda: self._client.alter_configs([resource]))

    def partition_count(self, topic: str) -> int | None:
        """Return the number of partitions, or None if the topic does not exist."""
        state = self.describe([topic]).get(topic)
        return None if state is None else state.partitions

    def appended_offsets(self, tps: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """Return the end offsets, counting open transactions."""
        wanted = {theirs(tp): OffsetSpec.LATEST for tp in tps}
        with translating(f"asking the broker at {self._where} for the ends of partitions"):
            found = self._limited("the ends of partitions", lambda: self._client.list_partition_offsets(wanted))
        return {ours(tp): int(end.offset) for tp, end in found.items()}

    def delete_records(self, before: Mapping[TopicPartition, int]) -> None:
        """Delete the records before the given offsets."""
        with translating(f"deleting records at {self._where}"):
            offsets = {theirs(tp): offset for tp, offset in before.items()}
            self._limited("the deletion of records", lambda: self._client.delete_records(offsets))

    def members(self, group: str) -> tuple[Member, ...]:
        """Return the current members of a group."""
        with translating(f"asking for the members of group {group} at {self._where}"):
            found = self._limited("a group", lambda: self._describe_group(group)).get("members", ())
        return tuple(Member(m["member_id"], m["client_host"], m.get("group_instance_id") or None) for m in found)

    def close(self) -> None:
        """Close the connections."""
        if not self.closed:
            self.closed = True
            with suppress(BrokerUnavailableError):  # the abandoned thread ends with the process
                within(CLOSE_LIMIT_S, f"closing the admin client of {self._where}", self._client.close)

    def _limited(self, what: str, call: Callable[[], Answer]) -> Answer:
        """Run a call with a time limit: the client bounds waiting for responses, but not for connections."""
        return within(CALL_LIMIT_S, f"asking the broker at {self._where} for {what}", call)

    def _describe_group(self, group: str) -> dict[str, Any]:
        """Retry until there is a coordinator: a new cluster creates its offsets topic on the first request."""
        deadline = time.monotonic() + REQUEST_LIMIT_MS / 1_000
        while True:
            try:
                described: dict[str, Any] = self._client.describe_groups([group])[group]
            except errors.GroupIdNotFoundError:
                return {}
            except (errors.CoordinatorNotAvailableError, errors.CoordinatorLoadInProgressError):
                if time.monotonic() >= deadline:
                    raise
                time.sleep(RETRY_DELAY_S)
            else:
                return described

    def _create(self, topic: TopicSettings) -> bool:
        wanted = {
            "num_partitions": topic.partitions,
            "replication_factor": topic.replication,
            "configs": dict(topic.configs),
        }
        with translating(f"creating the topic {topic.name} at {self._where}"):
            try:
                self._limited(
                    "a new topic",
                    lambda: self._client.create_topics({topic.name: wanted}, timeout_ms=REQUEST_LIMIT_MS),
                )
            except errors.TopicAlreadyExistsError:
                return False
        return True
