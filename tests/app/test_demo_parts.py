"""What `triptych demo --kafka` runs on."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any
from uuid import uuid4

import pytest
from redis import Redis

from triptych.demo_parts import parts_on_servers
from triptych.schemas.codec import encode_result
from triptych.schemas.names import redis_index_key, redis_latest_key, redis_results_key, result_id
from triptych.schemas.results import Modalities, ModalityReport, ModelReference, Result
from triptych.settings.loading import load
from triptych.transport import open as opening
from triptych.transport.memory.transport import MemoryTransport
from triptych.worker.publishing.stores.protocol import StoredResult

WINDOW_NS = 2_000_000_000
ABSENT = ModalityReport(state="absent")


def result(number: int) -> StoredResult:
    """Return the result of window `number`."""
    start_ns, end_ns = number * WINDOW_NS, (number + 1) * WINDOW_NS
    made = Result(
        id=result_id("city", start_ns, end_ns, 0),
        stream="city",
        start_ns=start_ns,
        end_ns=end_ns,
        revision=0,
        closed_by="progress",
        published_ns=end_ns,
        modalities=Modalities(video=ABSENT, audio=ABSENT, subtitles=ABSENT),
        model=ModelReference(name="null", version="1", sha256="0" * 64),
    )
    return StoredResult(made, encode_result(made, pipeline="demo").value)


def test_the_store_keeps_what_the_settings_say(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be the Redis of a pipeline, whose workers keep as much."""
    monkeypatch.setattr(opening, "open_transport", lambda _: MemoryTransport(max_record_bytes=8 << 20))
    pipeline = f"demo-{uuid4().hex[:8]}"
    limits = {"redis.results_maxlen": 100, "redis.latest_ttl_s": 60, "redis.key_ttl_s": 120}
    settings = load(overrides={"pipeline": pipeline, "redis.url": redis_url, **limits}, environ={})
    client: Any
    with ExitStack() as stack, Redis.from_url(redis_url) as client:
        parts = parts_on_servers(stack, settings)
        assert all(parts.store.write([result(number) for number in range(150)]))

        assert client.zcard(redis_index_key(pipeline, "city")) == 100
        assert 50 < client.ttl(redis_latest_key(pipeline, "city")) <= 60
        assert 110 < client.ttl(redis_results_key(pipeline, "city")) <= 120
