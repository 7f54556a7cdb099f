"""The value types that records and results are made of: bounded times, ids, sources, immutable mappings."""

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
LONGEST_REASON: Final = 2048

# What CloudEvents forbids in an attribute.
_NO_CONTROL_CHARACTERS: Final = r"^[^\x00-\x1f\x7f-\x9f]+$"
_CREDENTIALS: Final = re.compile(r"(?:^|(?<=:))//[^/?#]*@")

Nanoseconds = Annotated[int, Field(ge=0, le=MAX_NS)]
"""A moment of event time: integer nanoseconds since the Unix epoch."""


def _to_thousandths(value: float) -> float:
    return round(value, 3) + 0.0  # no minus zero


Measure = Annotated[float, Field(ge=-1e9, le=1e9), AfterValidator(_to_thousandths)]
"""What was measured, to the thousandth: as text it has no exponent."""

Count = Annotated[int, Field(ge=0, le=MAX_NS)]
Offset = Annotated[int, Field(ge=0, le=MAX_NS)]
StreamId = Annotated[str, StringConstraints(pattern=STREAM_PATTERN)]
PipelineName = Annotated[str, StringConstraints(pattern=PIPELINE_PATTERN)]
TopicName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,249}$")]
Text = Annotated[str, StringConstraints(min_length=1)]
RecordId = Annotated[str, StringConstraints(max_length=1024, pattern=_NO_CONTROL_CHARACTERS)]
SessionId = Annotated[str, StringConstraints(max_length=128, pattern=_NO_CONTROL_CHARACTERS)]


def hide_credentials(url: str) -> str:
    """Return the URL with the user name and password of each authority in it replaced by asterisks."""
    return _CREDENTIALS.sub("//***@", url)


def _without_credentials(source: str) -> str:
    if _CREDENTIALS.search(source):
        msg = "a source without user name or password"
        raise ValueError(msg)
    return source


Source = Annotated[
    str, StringConstraints(max_length=2048, pattern=_NO_CONTROL_CHARACTERS), AfterValidator(_without_credentials)
]
"""Where a record comes from (`ce_source`); a URL in it never carries credentials."""


def _one_line(reason: object) -> object:
    if not isinstance(reason, str):
        return reason
    printable = "".join(character if character.isprintable() else " " for character in reason[:LONGEST_REASON])
    return " ".join(printable.split())


Reason = Annotated[str, BeforeValidator(_one_line), StringConstraints(min_length=1, max_length=LONGEST_REASON)]
"""Why a record was refused: one line, cut where it would be too long for a header."""


def _in_order(tracks: tuple[Modality, ...]) -> tuple[Modality, ...]:
    if len(set(tracks)) != len(tracks):
        msg = "each modality at most once"
        raise ValueError(msg)
    return tuple(modality for modality in MODALITIES if modality in tracks)


Tracks = Annotated[tuple[Modality, ...], AfterValidator(_in_order)]
"""The modalities that a stream has, in one order whatever order they were given in."""


def _frozen(items: Mapping[str, Any]) -> Mapping[str, Any]:
    return MappingProxyType(dict(items))


def _plain(items: Mapping[str, Any]) -> dict[str, Any]:
    return dict(items)


FROZEN_MAPPING: Final = (AfterValidator(_frozen), PlainSerializer(_plain))
"""Annotations that make a mapping field immutable: `Annotated[Mapping[str, float], *FROZEN_MAPPING]`."""


WRITTEN_WHERE_TRUE: Final[dict[str, JsonValue]] = {"x-optional": True}
"""Marks a field in the schema that a writer leaves out where it says nothing; it came after version 1 was golden."""


class Value(BaseModel):
    """A frozen value of the contract; unknown fields of a newer writer are ignored."""

    # Inputs stay out of pydantic's own messages: they may be a whole picture, or a password.
    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False, hide_input_in_errors=True)
