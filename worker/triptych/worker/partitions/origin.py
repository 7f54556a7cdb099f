"""Which incarnation of the input topics an offset or a state belongs to.

A commit carries the id of its topic, and the numbers of partitions that the topics have had, as its metadata. The
state in a result carries the ids of the three input topics. Those of earlier versions carry none, and are used as they
are. Pure.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Final

from triptych.schemas.names import MODALITIES, Modality

_VERSION_KEY: Final = "triptych-topic"
_IDS_KEY: Final = "topics"


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


def with_topic_ids(state: bytes, ids: Mapping[Modality, str]) -> bytes:
    """Return the state of a stream, a JSON object, with the ids of the input topics."""
    if not any(ids.values()):
        return state
    return b'%s,"%s":%s}' % (
        state.rstrip()[:-1],
        _IDS_KEY.encode(),
        json.dumps(dict(ids), separators=(",", ":")).encode(),
    )


def recreated_since(state: bytes, ids: Mapping[Modality, str]) -> list[Modality]:
    """Return the modalities whose topic has another id than when this state was written."""
    try:
        written = json.loads(state).get(_IDS_KEY, {})
        return [m for m in MODALITIES if written.get(m) and ids.get(m) and written[m] != ids[m]]
    except (ValueError, AttributeError, RecursionError):
        return []
