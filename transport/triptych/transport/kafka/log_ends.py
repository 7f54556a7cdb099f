"""Where partitions end, counting what was appended and may not be read yet.

A broker shows a consumer nothing that not all replicas in sync have (nor, by default, of a transaction that is open),
and says that the log ends there. But such a record has its append time already: while a replica stands still, it shows
up seconds later. Who concludes from "read to the end" that nothing more arrived before now must ask for the end of the
log itself. Brokers tell it to who asks as a tool for debugging; the client knows no such question.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, Final

from kafka import KafkaConsumer
from kafka import TopicPartition as KafkaTopicPartition
from kafka.protocol.consumer import ListOffsetsRequest

DEBUGGER_ID: Final = -2
"""Kafka's number for one who is neither a consumer (-1) nor a replica."""


class _LogEnd(int):
    """Kafka's number for the latest offset, known from the client's own of the same value by its type."""


_LOG_END: Final = _LogEnd(-1)


class LogEnds:
    """Asks through a client's connections, with its retries and its knowledge of leaders."""

    def __init__(self, client: KafkaConsumer) -> None:
        """Teach the client the question."""
        self._fetcher = client._fetcher  # noqa: SLF001 - there is no public way
        self._ask_as_consumer = self._fetcher._send_list_offsets_request  # noqa: SLF001 - as above
        self._fetcher._send_list_offsets_request = self._ask  # noqa: SLF001 - as above

    def of(self, tps: Iterable[KafkaTopicPartition], timeout_ms: float) -> Mapping[KafkaTopicPartition, int]:
        """Ask for the ends; raises what the client's own question raises."""
        ends: Mapping[KafkaTopicPartition, int] = self._fetcher.beginning_or_end_offset(list(tps), _LOG_END, timeout_ms)
        return ends

    async def _ask(self, node_id: int, wanted: Mapping[KafkaTopicPartition, tuple[int, int]]) -> Any:  # noqa: ANN401 - the client is untyped
        if not all(isinstance(timestamp, _LogEnd) for timestamp, _ in wanted.values()):
            return await self._ask_as_consumer(node_id, wanted)
        topics = defaultdict(list)
        for tp, (timestamp, leader_epoch) in wanted.items():
            topics[tp.topic].append(
                ListOffsetsRequest.ListOffsetsTopic.ListOffsetsPartition(
                    partition_index=tp.partition, current_leader_epoch=leader_epoch, timestamp=int(timestamp)
                )
            )
        request = ListOffsetsRequest(replica_id=DEBUGGER_ID, topics=list(topics.items()), min_version=1)
        response = await self._fetcher._manager.send(request, node_id=node_id)  # noqa: SLF001 - as above
        return self._fetcher._handle_list_offsets_response(response)  # noqa: SLF001 - as above
