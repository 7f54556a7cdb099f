"""Evaluation of a soak test from its records, results and logs."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import redis

from tests.e2e.programs import Installation
from triptych.schemas.codec import decode
from triptych.schemas.names import INPUT_TOPICS, MODALITIES, MODALITY_OF, dead_topic, results_topic
from triptych.schemas.records import AudioChunk, InputRecord, VideoFrame
from triptych.schemas.results import Result

MIN_GAP_NS = 1_500_000_000
"""Minimum duration of a gap. The feeds have four frames and two audio chunks per second."""


@dataclass(frozen=True, slots=True)
class Gap:
    """A span of event time without frames and audio."""

    stream: str
    from_ns: int
    to_ns: int


def read_inputs(installation: Installation) -> dict[str, list[InputRecord]]:
    """Return all input records by stream."""
    found: dict[str, list[InputRecord]] = {}
    for topic in INPUT_TOPICS:
        for one in installation.records(topic):
            record = decode(one.key, one.value, one.headers, modality=MODALITY_OF[topic])
            found.setdefault(record.stream, []).append(record)
    return found


def find_gaps(stream: str, records: Iterable[InputRecord]) -> list[Gap]:
    """Return the gaps between the first and the last media record of a stream."""
    media = sorted(
        (record.start_ns, record.end_ns if isinstance(record, AudioChunk) else record.start_ns)
        for record in records
        if isinstance(record, VideoFrame | AudioChunk)
    )
    found_gaps: list[Gap] = []
    known_ns = media[0][0] if media else 0
    for start_ns, end_ns in media:
        if start_ns - known_ns > MIN_GAP_NS:
            found_gaps.append(Gap(stream, known_ns, start_ns))
        known_ns = max(known_ns, end_ns)
    return found_gaps


def is_logged(found_gap: Gap, gaps: Iterable[Mapping[str, Any]]) -> bool:
    """Return whether a `source_gap` or `session_split` in the log covers the gap."""
    return any(
        gap["stream"] == found_gap.stream
        and gap["from_ns"] - MIN_GAP_NS <= found_gap.from_ns
        and found_gap.to_ns <= gap["to_ns"] + MIN_GAP_NS
        for gap in gaps
    )


def states_of(results: Iterable[Result]) -> dict[str, Counter[str]]:
    """Return, by stream, the number of results and of each state of each modality."""
    counts: dict[str, Counter[str]] = {}
    for result in results:
        counter = counts.setdefault(result.stream, Counter())
        counter["results"] += 1
        for modality in MODALITIES:
            counter[f"{modality} {getattr(result.modalities, modality).state}"] += 1
    return counts


def places_of(secrets: Sequence[str], user: str, texts: Mapping[str, bytes]) -> list[str]:
    """Return the names of the texts that contain a secret, in plain text or encoded for a URL or HTTP."""
    needles = {form for secret in secrets for form in (secret, quote(secret, safe=""))}
    needles |= {base64.b64encode(f"{user}:{secret}".encode()).decode() for secret in secrets}
    return sorted(name for name, text in texts.items() if any(needle.encode() in text for needle in needles))


def all_outputs(installation: Installation, texts_of_programs: Mapping[str, str]) -> dict[str, bytes]:
    """Return every text that a reader could see: records with headers, Redis keys, output of the programs."""
    texts = {name: text.encode() for name, text in texts_of_programs.items()}
    for topic in (*INPUT_TOPICS, results_topic(installation.pipeline), dead_topic(installation.pipeline)):
        for record in installation.records(topic):
            headers = b"".join(name.encode() + b"=" + value + b"\n" for name, value in record.headers)
            texts[f"{topic}/{record.partition}/{record.offset}"] = (record.key or b"") + headers + record.value
    with redis.Redis.from_url(installation.redis_url) as client:
        for key in client.scan_iter(count=1_000):
            texts[f"redis {key!r}"] = key + _content(client, key)
    return texts


def _content(client: redis.Redis, key: bytes) -> bytes:
    kind = client.type(key)
    if kind == b"stream":
        return repr(client.xrange(key)).encode()
    if kind == b"zset":
        return repr(client.zrange(key, 0, -1)).encode()
    if kind == b"hash":
        return repr(client.hgetall(key)).encode()
    if kind == b"set":
        return repr(client.smembers(key)).encode()
    return repr(client.get(key)).encode()
