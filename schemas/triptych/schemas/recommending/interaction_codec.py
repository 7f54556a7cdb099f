"""Encode and decode the records of the topic of interactions: CloudEvents, as all messages. The value is JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from triptych.schemas.envelope import Wire, as_headers, check_version, pipeline_source, rfc3339
from triptych.schemas.errors import MalformedRecordError
from triptych.schemas.headers import Headers
from triptych.schemas.names import INTERACTION_TYPE, ITEM_TYPE, PROFILE_TYPE
from triptych.schemas.reasons import DeadReason
from triptych.schemas.recommending.interactions import Interaction, ItemText, RecommendationRecord, UserProfile
from triptych.schemas.validation import built_from_json

_TYPE_OF: Final[Mapping[type[RecommendationRecord], str]] = {
    Interaction: INTERACTION_TYPE,
    UserProfile: PROFILE_TYPE,
    ItemText: ITEM_TYPE,
}
_CLASS_OF: Final = {ce_type: kind for kind, ce_type in _TYPE_OF.items()}


def encode_interaction(record: RecommendationRecord, *, pipeline: str) -> Wire:
    """Return the message of an interaction, a profile, or the text of an item."""
    attributes = {
        "ce_id": record.key,
        "ce_source": pipeline_source(pipeline),
        "ce_type": _TYPE_OF[type(record)],
        "ce_time": rfc3339(record.time_ns),
        "content-type": "application/json",
    }
    return Wire(record.key.encode(), record.model_dump_json().encode(), as_headers(attributes))


def decode_interaction(
    key: bytes | None, value: bytes, headers: Iterable[tuple[str, bytes | None]]
) -> RecommendationRecord:
    """Return the record of a message that is no tombstone. Raises `MalformedRecordError` if it is none of them."""
    read = Headers(headers)
    check_version(read)
    ce_type = read.required("ce_type", "the type of a record of interactions")
    kind = _CLASS_OF.get(ce_type)
    if kind is None:
        raise MalformedRecordError("ce_type", f"one of {', '.join(_CLASS_OF)}", ce_type, DeadReason.UNKNOWN_TYPE)
    record = built_from_json(kind, value)
    if key != record.key.encode():
        raise MalformedRecordError("key", f"the key that the value makes, {record.key}", key or b"")
    return record
