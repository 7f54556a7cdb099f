"""Query end offsets that include records which consumers cannot read yet.

A broker shows consumers only records that all in-sync replicas have (and, by default, that belong to no open
transaction), and reports the end offset accordingly. But such a record already has its append time: while a replica
stalls, it becomes visible seconds later. A reader that concludes "read to the end, so nothing more arrived before now"
must therefore use the end of the log itself. Brokers return it to clients with the replica id of a debugging tool;
kafka-python has no call for it.

A broker answers the requests of one connection one after another, and a fetch without new records only after
`fetch_max_wait_ms`. On the connection of the fetches each query would wait for that long, and all decisions with it. So
the queries have a connection of their own, as the client's group requests do.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, Final

from kafka import KafkaConsumer
from kafka import TopicPartition as KafkaTopicPartition
from kafka.protocol.consumer import ListOffsetsRequest
from kafka.protocol.metadata import MetadataResponse

DEBUGGER_ID: Final = -2
"""Kafka's replica id for a client that is neither a consumer (-1) nor a replica."""

OWN_CONNECTION: Final = "end-offsets-"
"""The prefix of the node ids under which the client has the connections of these queries."""


class _AppendedEnd(int):
    """Kafka's timestamp value for the latest offset. The type distinguishes our requests from the client's own."""


_APPENDED_END: Final = _AppendedEnd(-1)


class AppendedEnds:
    """Sends the query with the client's retries and metadata of leaders, over one more connection to each leader."""

    def __init__(self, client: KafkaConsumer) -> None:
        """Patch the client to send the query."""
        self._fetcher = client._fetcher  # noqa: SLF001 - there is no public way
        self._send_as_consumer = self._fetcher._send_list_offsets_request  # noqa: SLF001 - as above
        self._fetcher._send_list_offsets_request = self._send  # noqa: SLF001 - as above

    def of(self, tps: Iterable[KafkaTopicPartition], timeout_ms: float) -> Mapping[KafkaTopicPartition, int]:
        """Return the end offsets. Raises what the client's own end offset query raises."""
        ends: Mapping[KafkaTopicPartition, int] = self._fetcher.beginning_or_end_offset(
            list(tps), _APPENDED_END, timeout_ms
        )
        return ends

    async def _send(self, node_id: int, wanted: Mapping[KafkaTopicPartition, tuple[int, int]]) -> Any:  # noqa: ANN401 - the client is untyped
        if not all(isinstance(timestamp, _AppendedEnd) for timestamp, _ in wanted.values()):
            return await self._send_as_consumer(node_id, wanted)
        topics = defaultdict(list)
        for tp, (timestamp, leader_epoch) in wanted.items():
            topics[tp.topic].append(
                ListOffsetsRequest.ListOffsetsTopic.ListOffsetsPartition(
                    partition_index=tp.partition, current_leader_epoch=leader_epoch, timestamp=int(timestamp)
                )
            )
        request = ListOffsetsRequest(replica_id=DEBUGGER_ID, topics=list(topics.items()), min_version=1)
        response = await self._fetcher._manager.send(request, node_id=self._own_node(node_id))  # noqa: SLF001 - as above
        return self._fetcher._handle_list_offsets_response(response)  # noqa: SLF001 - as above

    def _own_node(self, node_id: int) -> int | str:
        """Return a node with the address of a broker, for which the client opens a connection of its own."""
        cluster = self._fetcher._manager.cluster  # noqa: SLF001 - as above
        broker = cluster.broker_metadata(node_id)
        if broker is None:
            return node_id  # the request fails, and the client asks for metadata
        own = f"{OWN_CONNECTION}{node_id}"
        # The client keeps the nodes of group coordinators in this table, under names of this kind.
        cluster._coordinator_brokers[own] = MetadataResponse.MetadataResponseBroker(own, broker.host, broker.port, None)  # noqa: SLF001 - as above
        return own
