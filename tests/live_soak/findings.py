"""What a soak left behind, judged from records, results and logs alone."""

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

HOLE_NS = 1_500_000_000
"""A stream of which nothing is known for so long has a hole; pictures come four times a second, sound twice."""


@dataclass(frozen=True, slots=True)
class Hole:
    """Event time of which a stream has neither picture nor sound."""

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


def holes_in(stream: str, records: Iterable[InputRecord]) -> list[Hole]:
    """Return the stretches without picture and sound between the stream's first and last."""
    media = sorted(
        (record.start_ns, record.end_ns if isinstance(record, AudioChunk) else record.start_ns)
        for record in records
        if isinstance(record, VideoFrame | AudioChunk)
    )
    holes: list[Hole] = []
    known_ns = media[0][0] if media else 0
    for start_ns, end_ns in media:
        if start_ns - known_ns > HOLE_NS:
            holes.append(Hole(stream, known_ns, start_ns))
        known_ns = max(known_ns, end_ns)
    return holes


def is_named(hole: Hole, gaps: Iterable[Mapping[str, Any]]) -> bool:
    """Return whether a `source_gap` or `session_split` of the log covers the hole."""
    return any(
        gap["stream"] == hole.stream
        and gap["from_ns"] - HOLE_NS <= hole.from_ns
        and hole.to_ns <= gap["to_ns"] + HOLE_NS
        for gap in gaps
    )


def states_of(results: Iterable[Result]) -> dict[str, Counter[str]]:
    """Return how often each state of each modality was told, by stream; and how many results there are."""
    counts: dict[str, Counter[str]] = {}
    for result in results:
        counter = counts.setdefault(result.stream, Counter())
        counter["results"] += 1
        for modality in MODALITIES:
            counter[f"{modality} {getattr(result.modalities, modality).state}"] += 1
    return counts


def places_of(secrets: Sequence[str], user: str, texts: Mapping[str, bytes]) -> list[str]:
    """Return the names of the texts that hold a secret, plainly or as a URL or HTTP writes it."""
    needles = {form for secret in secrets for form in (secret, quote(secret, safe=""))}
    needles |= {base64.b64encode(f"{user}:{secret}".encode()).decode() for secret in secrets}
    return sorted(name for name, text in texts.items() if any(needle.encode() in text for needle in needles))


def everything_told(installation: Installation, said: Mapping[str, str]) -> dict[str, bytes]:
    """Return all that anyone could read: every record with its headers, every Redis key, what programs said."""
    texts = {name: text.encode() for name, text in said.items()}
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
