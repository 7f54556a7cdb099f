"""The value types that records and results are made of: bounded times, ids, immutable mappings."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainSerializer, StringConstraints

from triptych.schemas.names import PIPELINE_PATTERN, STREAM_PATTERN

MAX_NS: Final = 2**63 - 1
_CREDENTIALS: Final = re.compile(r"://[^/?#\s]*@")

Nanoseconds = Annotated[int, Field(ge=0, le=MAX_NS)]
"""A moment of event time: integer nanoseconds since the Unix epoch."""

Count = Annotated[int, Field(ge=0, le=MAX_NS)]
Offset = Annotated[int, Field(ge=0, le=MAX_NS)]
StreamId = Annotated[str, StringConstraints(pattern=STREAM_PATTERN)]
PipelineName = Annotated[str, StringConstraints(pattern=PIPELINE_PATTERN)]
Text = Annotated[str, StringConstraints(min_length=1)]
SessionId = Annotated[str, StringConstraints(min_length=1, max_length=128)]


def _without_credentials(source: str) -> str:
    if _CREDENTIALS.search(source):
        msg = "a source without user name or password"
        raise ValueError(msg)
    return source


Source = Annotated[str, StringConstraints(min_length=1, max_length=2048), AfterValidator(_without_credentials)]
"""Where a record comes from (`ce_source`); a URL in it never carries credentials."""


def _frozen(items: Mapping[str, Any]) -> Mapping[str, Any]:
    return MappingProxyType(dict(items))


def _plain(items: Mapping[str, Any]) -> dict[str, Any]:
    return dict(items)



class Value(BaseModel):
    """A frozen value of the contract; unknown fields of a newer writer are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


FROZEN_MAPPING: Final = (AfterValidator(_frozen), PlainSerializer(_plain))
"""Annotations that make a mapping field immutable: `Annotated[Mapping[str, float], *FROZEN_MAPPING]`."""
