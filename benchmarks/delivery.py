"""The cost of transactions: `python -m benchmarks.delivery [batches] [rounds]`. It starts its own broker.

Both delivery modes publish the same batches as the worker's publishing thread does. They alternate in one run, so that
other load on the machine affects both; the ratio is the result. There is no model and no store: the delivery mode
affects neither.
"""

from __future__ import annotations

import statistics
import sys
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Final

from tools.devservers import DevKafka
from triptych.settings.kafka import KafkaSettings
from triptych.transport.kafka.transport import KafkaTransport
from triptych.transport.protocols import GroupConsumer, Publisher, TransactionalPublisher
from triptych.transport.records import Message
from triptych.transport.topic_settings import TopicSettings

WINDOWS: Final = (1, 8, 32)
"""Results per batch. 8 is the default of `batch.max_windows`."""
PARTITIONS: Final = 6
RESULT_BYTES: Final = 2_500
"""Size of a result of the null model with the state of its stream."""
LIMIT_S: Final = 60.0


def main(args: Sequence[str]) -> None:
    """Print one line per batch size."""
    batches, rounds = int(args[0]) if args else 100, int(args[1]) if len(args) > 1 else 3
    with DevKafka() as broker, closing(_transport(broker)) as transport:
        inputs, results = (f"bench-{uuid.uuid4().hex[:8]}" for _ in range(2))
        with closing(transport.admin()) as admin:
            admin.create([TopicSettings(topic, PARTITIONS) for topic in (inputs, results)])
        member = transport.group_consumer([inputs], "bench")
        while not member.assignment():
            member.poll(0.1)
        plain, exact = transport.publisher(), transport.transactional_publisher("bench")
        for windows in WINDOWS:
            messages = [Message(results, b"city", b"x" * RESULT_BYTES, (), n % PARTITIONS) for n in range(windows)]
            publishers: dict[str, Callable[[], None]] = {
                "at_least_once": lambda messages=messages: _publish_plain(plain, messages),  # type: ignore[misc]
                "exactly_once": lambda messages=messages: _publish_transaction(exact, member, messages),  # type: ignore[misc]
            }
            _measure(windows, publishers, batches=batches, rounds=rounds)


def _measure(windows: int, publishers: dict[str, Callable[[], None]], *, batches: int, rounds: int) -> None:
    took_s: dict[str, list[float]] = {name: [] for name in publishers}
    for publish in publishers.values():
        publish()  # the first call looks up the partitions
    for _ in range(rounds):
        for name, publish in publishers.items():
            for _ in range(batches):
                started_s = time.perf_counter()
                publish()
                took_s[name].append(time.perf_counter() - started_s)
    medians_ms = {name: statistics.median(each) * 1e3 for name, each in took_s.items()}
    shown = ", ".join(
        f"{name} {medians_ms[name]:.1f} ms (95 %: {statistics.quantiles(each, n=20)[-1] * 1e3:.1f} ms)"
        for name, each in took_s.items()
    )
    ratio = medians_ms["exactly_once"] / medians_ms["at_least_once"]
    sys.stdout.write(f"a batch of {windows}: {shown}; ratio {ratio:.1f}\n")


def _publish_plain(publisher: Publisher, messages: Sequence[Message]) -> None:
    for sent in [publisher.send(message) for message in messages]:
        sent.result(LIMIT_S)


def _publish_transaction(publisher: TransactionalPublisher, member: GroupConsumer, messages: Sequence[Message]) -> None:
    offsets = {tp: 0 for tp in member.assignment() if tp.partition == 0}
    publisher.publish(messages, member.group_offsets(offsets))


def _transport(broker: DevKafka) -> KafkaTransport:
    return KafkaTransport(KafkaSettings(bootstrap_servers=broker.bootstrap_servers))


if __name__ == "__main__":
    main(sys.argv[1:])
