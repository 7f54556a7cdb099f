"""Making and describing Kafka's topics."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from kafka import KafkaAdminClient, errors
from kafka.admin import ConfigResource, ConfigResourceType

from triptych.settings import KafkaSettings
from triptych.transport.kafka_connect import connect
from triptych.transport.kafka_errors import translating
from triptych.transport.kafka_rebalance import theirs
from triptych.transport.records import Member, TopicPartition
from triptych.transport.topic_settings import TopicSettings, TopicState

REQUEST_LIMIT_MS = 10_000
ASK_AGAIN_S = 0.1


class KafkaAdmin:
    """Ask and tell a broker about topics (see `TopicAdmin`)."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._where = settings.bootstrap_servers
        self.closed = False
        self._client = connect(KafkaAdminClient, settings, request_timeout_ms=REQUEST_LIMIT_MS)

    def create(self, topics: Sequence[TopicSettings]) -> tuple[str, ...]:
        """Make those that do not exist, and wait until they can be used."""
        created = tuple(topic.name for topic in topics if self._create(topic))
        with translating(f"waiting for new topics at {self._where}"):
            self._client.wait_for_topics(list(created), timeout_ms=REQUEST_LIMIT_MS)
        return created

    def describe(self, names: Sequence[str]) -> dict[str, TopicState]:
        """Return what each existing topic is, the broker's defaults included."""
        with translating(f"describing topics at {self._where}"):
            # All are listed, since asking for a topic by name makes it where the broker makes topics by itself.
            found = {
                topic["name"]: len(topic["partitions"])
                for topic in self._client.describe_topics()
                if topic["name"] in names
            }
            if not found:
                return {}
            resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in found]
            configs = self._client.describe_configs(resources, config_filter="all")["topic"]
        return {
            name: TopicState(
                name, found[name], {setting: str(entry["value"]) for setting, entry in configs[name].items()}
            )
            for name in names
            if name in found
        }

    def alter(self, name: str, configs: Mapping[str, str]) -> None:
        """Set some of a topic's settings."""
        with translating(f"altering the topic {name} at {self._where}"):
            self._client.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, dict(configs))])

    def partition_count(self, topic: str) -> int | None:
        """Return the number of partitions, or None."""
        state = self.describe([topic]).get(topic)
        return None if state is None else state.partitions

    def delete_records(self, before: Mapping[TopicPartition, int]) -> None:
        """Delete what lies before an offset."""
        with translating(f"deleting records at {self._where}"):
            self._client.delete_records({theirs(tp): offset for tp, offset in before.items()})

    def members(self, group: str) -> tuple[Member, ...]:
        """Return who is in a group now."""
        with translating(f"asking for the members of group {group} at {self._where}"):
            found = self._describe_group(group).get("members", ())
        return tuple(Member(m["member_id"], m["client_host"], m.get("group_instance_id") or None) for m in found)

    def close(self) -> None:
        """Let go of the connection."""
        if not self.closed:
            self.closed = True
            self._client.close()

    def _describe_group(self, group: str) -> dict[str, Any]:
        """Ask until there is a coordinator: a new cluster makes the topic of its groups when first asked for one."""
        deadline = time.monotonic() + REQUEST_LIMIT_MS / 1_000
        while True:
            try:
                described: dict[str, Any] = self._client.describe_groups([group])[group]
            except errors.GroupIdNotFoundError:
                return {}
            except (errors.CoordinatorNotAvailableError, errors.CoordinatorLoadInProgressError):
                if time.monotonic() >= deadline:
                    raise
                time.sleep(ASK_AGAIN_S)
            else:
                return described

    def _create(self, topic: TopicSettings) -> bool:
        wanted = {
            "num_partitions": topic.partitions,
            "replication_factor": topic.replication,
            "configs": dict(topic.configs),
        }
        with translating(f"making the topic {topic.name} at {self._where}"):
            try:
                self._client.create_topics({topic.name: wanted}, timeout_ms=REQUEST_LIMIT_MS)
            except errors.TopicAlreadyExistsError:
                return False
        return True
