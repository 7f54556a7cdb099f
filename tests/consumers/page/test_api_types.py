"""The bodies of the API say in their schema what they are."""

from __future__ import annotations

import json
from importlib.resources import files

import pytest
from jsonschema import Draft202012Validator, ValidationError

from triptych.consumers.page.api_types import API_BODIES, LetterPosition, RedriveRequest


def test_the_schema_describes_what_is_sent() -> None:
    """A front end makes its types of it."""
    text = files("triptych.consumers.page").joinpath("api.schema.json").read_text(encoding="utf-8")
    schema = json.loads(text)
    Draft202012Validator.check_schema(schema)
    assert {body.__name__ for body in API_BODIES} <= set(schema["$defs"])
    validator = Draft202012Validator({"$ref": "#/$defs/RedriveRequest", "$defs": schema["$defs"]})
    body = RedriveRequest(letters=(LetterPosition(partition=1, offset=2),))
    validator.validate(json.loads(body.model_dump_json()))
    with pytest.raises(ValidationError):
        validator.validate({"letters": [{"partition": "1", "offset": 2}]})
