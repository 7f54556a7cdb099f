"""Encode descriptions as Kafka messages, and decode them: CloudEvents 1.0, as results are (`schemas/codec.py`)."""

from __future__ import annotations

from collections.abc import Iterable

from triptych.schemas.envelope import Attributes, Wire, as_headers, check_type, check_version, pipeline_source, rfc3339
from triptych.schemas.errors import MalformedRecordError
from triptych.schemas.headers import Headers
from triptych.schemas.names import DESCRIPTION_TYPE
from triptych.schemas.perception.descriptions import Description
from triptych.schemas.validation import built_from_json


def encode_description(description: Description, *, pipeline: str) -> Wire:
    """Return the message of a description."""
    attributes: Attributes = {
        "ce_id": description.id,
        "ce_source": pipeline_source(pipeline),
        "ce_type": DESCRIPTION_TYPE,
        "ce_time": rfc3339(description.start_ns),
        "content-type": "application/json",
        "ce_startns": description.start_ns,
        "ce_endns": description.end_ns,
    }
    return Wire(description.stream.encode(), description.model_dump_json().encode(), as_headers(attributes))


def decode_description(
    key: bytes | None, value: bytes | None, headers: Iterable[tuple[str, bytes | None]]
) -> Description:
    """Return the description of a message. Raises `MalformedRecordError` if it does not follow the contract."""
    read = Headers(headers)
    check_version(read)
    check_type(read, DESCRIPTION_TYPE)
    if value is None:
        raise MalformedRecordError("value", "a description as JSON", "null")
    description = built_from_json(Description, value)
    if description.stream.encode() != key:
        raise MalformedRecordError("key", f"the description's own stream {description.stream!r}", key)
    return description
