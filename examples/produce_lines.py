"""Send each line of standard input as a cue, written against the wire contract alone: nothing of Triptych is imported.

    tail -f chat.log | python examples/produce_lines.py --stream chat

Needs a Kafka client (`pip install kafka-python`) and the topics that `triptych topics create` makes. A producer in any
other language does the same; docs/contract.md lists every header. The key's partitioner must be murmur2, which is the
default of kafka-python and of the Java client.
"""

from __future__ import annotations

import argparse
import sys
import time
import uuid

from kafka import KafkaProducer

TOPIC = "triptych.subtitles"
CUE_LENGTH_NS = 2_000_000_000


class LineProducer:
    """Sends the cues of one session of one stream. The stream has no other tracks."""

    def __init__(self, producer: KafkaProducer, stream: str) -> None:
        self._producer = producer
        self._stream = stream
        self._session = uuid.uuid4().hex
        self._sequence = 0
        self._next_ns = 0

    def send(self, text: str) -> None:
        """Send one line as a cue that starts now; block until the broker has acknowledged it."""
        start_ns = max(time.time_ns(), self._next_ns)
        self._next_ns = start_ns + 1  # the promise: later cues start no earlier than this
        headers = {
            "ce_type": "triptych.subtitles.cue",
            "content-type": "text/plain;charset=utf-8",
            "ce_startns": start_ns,
            "ce_endns": start_ns + CUE_LENGTH_NS,
            "ce_seq": self._sequence,
        }
        self._sequence += 1
        self._produce(headers, text.encode())

    def end(self) -> None:
        """Say that the track is over, so that its last windows close at once."""
        self._next_ns = max(time.time_ns(), self._next_ns)
        self._produce({"ce_type": "triptych.end", "ce_subject": "subtitles", "ce_startns": self._next_ns}, b"")

    def _produce(self, own: dict[str, object], value: bytes) -> None:
        common = {
            "ce_specversion": "1.0",
            "ce_id": uuid.uuid4().hex,
            "ce_source": f"example:lines/{self._stream}",
            "ce_session": self._session,
            "ce_tracks": "subtitles",
            "ce_nextns": self._next_ns,
        }
        headers = [(name, str(text).encode()) for name, text in (common | own).items()]
        sent = self._producer.send(TOPIC, key=self._stream.encode(), value=value, headers=headers)
        sent.get(timeout=30)


def main() -> None:
    """Send lines until the end of standard input."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--bootstrap-servers", default="127.0.0.1:9092", metavar="HOST:PORT")
    parser.add_argument("--stream", default="chat")
    options = parser.parse_args()

    producer = KafkaProducer(bootstrap_servers=options.bootstrap_servers, acks="all")
    lines = LineProducer(producer, options.stream)
    for line in sys.stdin:
        if line.strip():
            lines.send(line.strip())
    lines.end()
    producer.close()


if __name__ == "__main__":
    main()
