"""The machine-readable contract matches the models, is valid in its own format, and fits the golden messages.

`asyncapi-3.0.0.json` is the official JSON Schema of AsyncAPI documents, from the package `@asyncapi/specs` 6.11
(Apache-2.0), without white space.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator, Draft202012Validator, FormatChecker

from tools.contract.documents import SCHEMAS, written
from tools.contract.json_schema import description_schema, result_schema
from triptych.schemas.envelope import Wire

MESSAGE_OF = {
    "video_frame": "frame",
    "video_frame_of_a_foreign_producer": "frame",
    "video_frame_of_a_measured_session": "frame",
    "audio_chunk": "chunk",
    "audio_chunk_of_a_measured_session": "chunk",
    "subtitles_cue": "cue",
    "subtitles_cue_generated_and_redriven": "cue",
    "subtitles_cue_generated_by_a_model": "cue",
    "progress": "progress",
    "end": "end",
    "result_that_is_a_revision": "result",
    "result_with_nothing_filled": "result",
    "result_that_may_still_be_completed": "result",
    "result_with_all_filled": "result",
    "result_with_quality": "result",
    "result_with_objects_vectors_and_matches": "result",
    "result_with_words_that_were_heard": "result",
    "result_for_which_no_model_was_asked": "result",
    "result_of_a_newer_writer": "result",
    "dead_letter": "deadLetter",
    "dead_letter_that_is_not_text": "deadLetter",
    "dead_letter_without_a_key": "deadLetter",
    "dead_letter_that_is_not_whole": "deadLetter",
    "redrive_mark": "redriveMark",
    "description": "description",
    "description_that_was_refused": "description",
    "interaction_with_a_window": "interaction",
    "interaction_with_a_feed": "interaction",
    "user_profile": "userProfile",
    "item_text": "itemText",
}
FOREIGN_HEADERS = {"traceparent", "ce_mood"}


@pytest.fixture(scope="module")
def asyncapi() -> dict[str, Any]:
    """Return the AsyncAPI document of the repository."""
    document: dict[str, Any] = yaml.safe_load((SCHEMAS / "asyncapi.yaml").read_text(encoding="utf-8"))
    return document


def validator(asyncapi: dict[str, Any], schema: dict[str, Any]) -> Draft7Validator:
    """Return a validator of one of the document's schemas, which may refer to its components."""
    return Draft7Validator({**schema, "components": asyncapi["components"]}, format_checker=FormatChecker())


@pytest.mark.parametrize("path", written(), ids=lambda path: path.name)
def test_the_documents_are_current(path: Path) -> None:
    """After a change of the models, run `python -m tools.contract`."""
    assert path.read_text(encoding="utf-8") == written()[path]


def test_the_schema_of_a_result_is_a_json_schema() -> None:
    """By the metaschema of its dialect."""
    Draft202012Validator.check_schema(result_schema())


def test_the_document_is_asyncapi(asyncapi: dict[str, Any]) -> None:
    """By the official schema of version 3."""
    official = json.loads((Path(__file__).parent / "asyncapi-3.0.0.json").read_text(encoding="utf-8"))
    assert [error.message for error in Draft7Validator(official).iter_errors(asyncapi)] == []


@pytest.mark.parametrize("name", [name for name in MESSAGE_OF if name.startswith("result")])
def test_golden_results_fit_the_schema(golden: dict[str, Wire], name: str) -> None:
    """Also those of a newer writer: unknown fields are allowed."""
    Draft202012Validator(result_schema()).validate(json.loads(golden[name].value))


@pytest.mark.parametrize("name", [name for name in MESSAGE_OF if name.startswith("description")])
def test_golden_descriptions_fit_their_schema(golden: dict[str, Wire], name: str) -> None:
    """And a document with a missing field does not."""
    document = json.loads(golden[name].value)
    Draft202012Validator.check_schema(description_schema())
    Draft202012Validator(description_schema()).validate(document)
    lacking = {field: value for field, value in document.items() if field != "outcome"}
    assert not Draft202012Validator(description_schema()).is_valid(lacking)


def test_a_result_with_a_missing_or_wrong_field_does_not_fit_the_schema(golden: dict[str, Wire]) -> None:
    """A schema that accepts everything is useless."""
    whole = json.loads(golden["result_with_all_filled"].value)
    lacking = {name: value for name, value in whole.items() if name != "novelty"}
    for wrong in (lacking, whole | {"closed_by": "magic"}, whole | {"predictions": {"scene": [{"label": 1}]}}):
        assert not Draft202012Validator(result_schema()).is_valid(wrong)


@pytest.mark.parametrize("name", MESSAGE_OF)
def test_golden_messages_fit_the_document(asyncapi: dict[str, Any], golden: dict[str, Wire], name: str) -> None:
    """Key, headers and payload of each; and the document lists all of our headers."""
    message, wire = asyncapi["components"]["messages"][MESSAGE_OF[name]], golden[name]
    validator(asyncapi, message["bindings"]["kafka"]["key"]).validate(wire.key.decode())
    headers = {header: value.decode() for header, value in wire.headers}
    validator(asyncapi, message["headers"]).validate(headers)
    ours = {header for header in headers if not header.startswith("original")} - FOREIGN_HEADERS
    assert ours <= message["headers"]["properties"].keys()
    is_document = MESSAGE_OF[name] in {"result", "description", "interaction", "userProfile", "itemText"}
    payload = json.loads(wire.value) if is_document else wire.value.decode(errors="replace")
    validator(asyncapi, message["payload"]).validate(payload)


def test_every_golden_message_is_tested(golden: dict[str, Wire]) -> None:
    """So a new kind is not forgotten here."""
    assert set(golden) == set(MESSAGE_OF)


def test_a_header_of_another_kind_does_not_fit(asyncapi: dict[str, Any], golden: dict[str, Wire]) -> None:
    """Kinds are distinguished, and mandatory headers are required."""
    schema = asyncapi["components"]["messages"]["frame"]["headers"]
    frame = {header: value.decode() for header, value in golden["video_frame"].headers}
    wrong = [frame | {"ce_type": "triptych.end"}, frame | {"ce_startns": "-1"}, frame | {"content-type": "image/gif"}]
    wrong += [{name: value for name, value in frame.items() if name != "ce_session"}]
    assert not [headers for headers in wrong if validator(asyncapi, schema).is_valid(headers)]
