"""`docs/contract.md` matches the code: its example is a valid result, and no header or field is missing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from triptych.schemas import names
from triptych.schemas.codec import parse_result
from triptych.schemas.envelope import Wire
from triptych.schemas.perception.matches import Match, MatchEvidence
from triptych.schemas.perception.objects import Detection, ObjectCount
from triptych.schemas.perception.vectors import Vectors
from triptych.schemas.results import (
    Added,
    Arrival,
    LabelScore,
    ModalityReport,
    ModelReference,
    Observations,
    Prediction,
    Quality,
    Result,
    Revised,
    Shares,
    Shed,
    Sync,
    TimeSlice,
    Words,
)

_VALUES: list[type[BaseModel]] = [
    Result,
    Revised,
    Added,
    Arrival,
    LabelScore,
    ModalityReport,
    ModelReference,
    Observations,
    Prediction,
    Quality,
    Shares,
    Shed,
    Sync,
    TimeSlice,
    Words,
    Detection,
    ObjectCount,
    Vectors,
    Match,
    MatchEvidence,
]


@pytest.fixture(scope="module")
def document() -> str:
    """Return the document."""
    docs = Path(__file__).parents[2] / "docs"
    return "".join((docs / name).read_text(encoding="utf-8") for name in ("contract.md", "results.md"))


def test_the_example_is_a_result(document: str) -> None:
    """It is valid and has every field."""
    example = re.search(r"```json\n(.*?)```", document, re.DOTALL)
    assert example is not None
    result = parse_result(example.group(1))
    written_where_filled = {
        *("quality", "revised", "revisable_until_ns", "when", "detections", "counts", "vectors", "sound_vectors"),
        *("matches", "prompts_version", "trace_id"),
    }
    assert result.model_fields_set == set(Result.model_fields) - written_where_filled


@pytest.mark.parametrize("value", _VALUES, ids=lambda value: value.__name__)
def test_every_field_of_a_result_is_documented(document: str, value: type[BaseModel]) -> None:
    """In the table, by its name."""
    table = document[document.index("| field | type |") : document.index("## In Redis")]
    missing = {field for field in value.model_fields if not re.search(rf"\b{field}\b", table, re.IGNORECASE)}
    assert not missing


def test_every_header_that_we_write_is_documented(document: str, golden: dict[str, Wire]) -> None:
    """Those of the golden messages, which have all of them."""
    written = {name for message in golden.values() for name, _ in message.headers} - {"ce_mood", "traceparent"}
    written = {name for name in written if not name.startswith("original")}
    assert not {name for name in written if f"`{name}`" not in document and f"`{name}: " not in document}


def test_every_name_is_documented(document: str) -> None:
    """Topics, types, prefixes and keys."""
    written = [*names.INPUT_TOPICS, names.FRAME_TYPE, names.CHUNK_TYPE, names.CUE_TYPE, names.PROGRESS_TYPE]
    written += [names.END_TYPE, names.RESULT_TYPE, names.DEAD_TYPE, names.STATE_HEADER]
    written += [f"{prefix}NAME" for prefix in (names.ORIGINAL_HEADER_PREFIX, names.ORIGINAL64_HEADER_PREFIX)]
    keys = [names.redis_results_key, names.redis_latest_key, names.redis_index_key, names.redis_marks_key]
    written += [key("PIPELINE", "STREAM") for key in keys]
    written += [names.redis_streams_key("PIPELINE"), names.results_topic("PIPELINE"), names.dead_topic("PIPELINE")]
    assert not {name for name in written if name not in document}
