"""Which incarnation of the input topics an offset or a state belongs to.

A commit carries the id of its topic, and the numbers of partitions that the topics have had, as its metadata. A result
has the ids of the three input topics in a header beside the state of its stream. Commits and results of earlier
versions have none, and are used as they are. Pure.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Final

from triptych.schemas.names import MODALITIES, TOPICS_HEADER, Modality
from triptych.transport.records import Headers

_VERSION_KEY: Final = "triptych-topic"


def commit_metadata(topic_id: str, counts: Sequence[int]) -> str:
    """Return the metadata of a commit."""
    return json.dumps({_VERSION_KEY: topic_id, "partitions": list(counts)}, separators=(",", ":")) if topic_id else ""


def read_commit_metadata(metadata: str) -> tuple[str, tuple[int, ...]]:
    """Return the topic's id and the numbers of partitions; empty if the metadata are not ours."""
    if not metadata.startswith(f'{{"{_VERSION_KEY}":'):
        return "", ()
    try:
        document = json.loads(metadata)
        return str(document[_VERSION_KEY]), tuple(int(count) for count in document["partitions"])
    except (ValueError, KeyError, TypeError):
        return "", ()


def topics_header(ids: Mapping[Modality, str]) -> Headers:
    """Return the header with the ids of the input topics, beside the state of a stream; none if they have no ids."""
    if not any(ids.values()):
        return ()
    return ((TOPICS_HEADER, json.dumps(dict(ids), separators=(",", ":")).encode()),)


def recreated_since(header: bytes | None, ids: Mapping[Modality, str]) -> list[Modality]:
    """Return the modalities whose topic has another id than when this header was written."""
    try:
        written = json.loads(header or b"{}")
        return [m for m in MODALITIES if written.get(m) and ids.get(m) and written[m] != ids[m]]
    except (ValueError, AttributeError, RecursionError):
        return []
