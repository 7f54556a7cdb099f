"""The value types of records and results: bounded times, ids, sources, immutable mappings."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Final

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    PlainSerializer,
    StringConstraints,
)

from triptych.schemas.names import MODALITIES, PIPELINE_PATTERN, STREAM_PATTERN, Modality

MAX_NS: Final = 2**63 - 1
MAX_REASON_LENGTH: Final = 2048

# CloudEvents forbids control characters in attributes.
_NO_CONTROL_CHARACTERS: Final = r"^[^\x00-\x1f\x7f-\x9f]+$"
_CREDENTIALS: Final = re.compile(r"(?:^|(?<=:))//[^/?#]*@")

Nanoseconds = Annotated[int, Field(ge=0, le=MAX_NS)]
"""Event time: integer nanoseconds since the Unix epoch."""


def _to_thousandths(value: float) -> float:
    return round(value, 3) + 0.0  # turns -0.0 into 0.0


Measure = Annotated[float, Field(ge=-1e9, le=1e9), AfterValidator(_to_thousandths)]
"""A measured number, rounded to thousandths, so that its text has no exponent."""

Count = Annotated[int, Field(ge=0, le=MAX_NS)]
Offset = Annotated[int, Field(ge=0, le=MAX_NS)]
StreamId = Annotated[str, StringConstraints(pattern=STREAM_PATTERN)]
PipelineName = Annotated[str, StringConstraints(pattern=PIPELINE_PATTERN)]
TopicName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,249}$")]
Text = Annotated[str, StringConstraints(min_length=1)]
RecordId = Annotated[str, StringConstraints(max_length=1024, pattern=_NO_CONTROL_CHARACTERS)]
SessionId = Annotated[str, StringConstraints(max_length=128, pattern=_NO_CONTROL_CHARACTERS)]


def hide_credentials(url: str) -> str:
    """Return the URL with the user name and password of each authority replaced by asterisks."""
    return _CREDENTIALS.sub("//***@", url)


def _without_credentials(source: str) -> str:
    if _CREDENTIALS.search(source):
        msg = "a source without user name or password"
        raise ValueError(msg)
    return source


Source = Annotated[
    str, StringConstraints(max_length=2048, pattern=_NO_CONTROL_CHARACTERS), AfterValidator(_without_credentials)
]
"""Where a record comes from (`ce_source`). A URL in it must not contain credentials."""


def _one_line(reason: object) -> object:
    if not isinstance(reason, str):
        return reason
    printable = "".join(character if character.isprintable() else " " for character in reason[:MAX_REASON_LENGTH])
    return " ".join(printable.split())


Reason = Annotated[str, BeforeValidator(_one_line), StringConstraints(min_length=1, max_length=MAX_REASON_LENGTH)]
"""Why a record was dead-lettered: one line, cut to fit a header."""


def _in_order(tracks: tuple[Modality, ...]) -> tuple[Modality, ...]:
    if len(set(tracks)) != len(tracks):
        msg = "each modality at most once"
        raise ValueError(msg)
    return tuple(modality for modality in MODALITIES if modality in tracks)


Tracks = Annotated[tuple[Modality, ...], AfterValidator(_in_order)]
"""The modalities of a stream, in a fixed order."""


def _frozen(items: Mapping[str, Any]) -> Mapping[str, Any]:
    return MappingProxyType(dict(items))


def _plain(items: Mapping[str, Any]) -> dict[str, Any]:
    return dict(items)


FROZEN_MAPPING: Final = (AfterValidator(_frozen), PlainSerializer(_plain))
"""Annotations of an immutable mapping field: `Annotated[Mapping[str, float], *FROZEN_MAPPING]`."""


WRITTEN_WHERE_TRUE: Final[dict[str, JsonValue]] = {"x-optional": True}
"""Schema mark of a field that is omitted when it is empty; it was added after version 1."""


class Value(BaseModel):
    """A frozen value of the contract. Unknown fields of a newer writer are ignored."""

    # pydantic's messages must not contain inputs: they may be a whole image, or a password.
    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False, hide_input_in_errors=True)
