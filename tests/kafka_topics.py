"""Delete topics of a real broker."""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import closing

from kafka import KafkaAdminClient

_LIMIT_S = 60


def delete_topics(bootstrap_servers: str, topics: Iterable[str]) -> None:
    """Delete those of the topics that exist, and wait until they are gone."""
    with closing(KafkaAdminClient(bootstrap_servers=bootstrap_servers)) as client:
        there = set(topics) & set(client.list_topics())
        if there:
            client.delete_topics(sorted(there))
        deadline_s = time.monotonic() + _LIMIT_S
        while left := there & set(client.list_topics()):
            assert time.monotonic() < deadline_s, f"still there: {', '.join(left)}"
            time.sleep(0.05)
