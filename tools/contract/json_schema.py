"""JSON Schema of a result and of a description, and of the headers of a record.

A schema describes what a *writer* of version 1 must write: every field of a result, with these types. It allows unknown
fields, since a newer writer adds them. The keywords used have the same meaning from draft 7 (AsyncAPI) to 2020-12.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from triptych.consumers.page.api_types import API_BODIES
from triptych.schemas.headers import MEASURE_PATTERN
from triptych.schemas.names import MODALITIES
from triptych.schemas.perception.descriptions import DESCRIPTION_VERSION, Description
from triptych.schemas.perception.prompts import Feedback, PromptChange
from triptych.schemas.recommending.interactions import Interaction, ItemText, UserProfile
from triptych.schemas.results import SCHEMA_VERSION, Result
from triptych.schemas.validation import HEADER_OF

Schema = dict[str, Any]

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_MEASURE: Final[Schema] = {"type": "string", "pattern": f"^{MEASURE_PATTERN}$"}
DECIMAL: Final[Schema] = {"type": "string", "pattern": "^[0-9]{1,19}$"}
_NOT_IN_HEADERS: Final = {"key", "value", "headers"}  # a dead letter has those of the message
_OMITTED_KEYWORDS: Final = {"title", "default", "prefixItems", "x-optional"}
_MODALITY: Final = f"({'|'.join(MODALITIES)})"


def result_schema() -> Schema:
    """Return the complete schema of the JSON document of a result."""
    schema: Schema = _tidied(Result.model_json_schema())
    return {"$schema": DIALECT, "title": f"Triptych result, version {SCHEMA_VERSION}"} | schema


def description_schema() -> Schema:
    """Return the complete schema of the JSON document of a description."""
    schema: Schema = _tidied(Description.model_json_schema())
    return {"$schema": DIALECT, "title": f"Triptych description, version {DESCRIPTION_VERSION}"} | schema


def page_schema() -> Schema:
    """Return the schema of the JSON bodies of the page's HTTP API, each by the name of its class in `$defs`."""
    _, bodies = models_json_schema([(body, "serialization") for body in API_BODIES])
    schema: Schema = _tidied(bodies)
    return {"$schema": DIALECT, "title": "The JSON bodies of the HTTP API of `triptych page`"} | schema


def component_schemas() -> dict[str, Schema]:
    """Return the schemas of all documents, in parts that refer to one another as components of an AsyncAPI document."""
    components: dict[str, Schema] = {}
    for kind in (Result, Description, PromptChange, Feedback, Interaction, UserProfile, ItemText):
        whole = _tidied(kind.model_json_schema(ref_template="#/components/schemas/{model}"))
        parts: dict[str, Schema] = whole.pop("$defs", {})
        components |= {kind.__name__: whole, **parts}
    return components


def headers_schema(kind: type[BaseModel], ce_type: str, *, also: Mapping[str, Schema] | None = None) -> Schema:
    """Return the schema of a message's headers: those of a model's fields, of the envelope, and `also`."""
    fields = kind.model_json_schema()
    properties = envelope(ce_type)
    required = set(properties) - {"ce_time"}
    for name, schema in fields["properties"].items():
        header = HEADER_OF.get(name, f"ce_{name}")
        if name in _NOT_IN_HEADERS or header in {"key", "value"} or (name == "modality" and "const" in schema):
            continue
        properties[header] = _as_header(schema)
        if name in fields["required"] and header != "ce_subject":
            required.add(header)
    properties |= also or {}
    return {"type": "object", "properties": properties, "required": sorted(required)}


def envelope(ce_type: str) -> dict[str, Schema]:
    """Return the headers that every message has. Readers require all but `ce_time`."""
    return {
        "ce_specversion": {"type": "string", "const": "1.0"},
        "ce_type": {"type": "string", "const": ce_type},
        "ce_id": {"type": "string", "minLength": 1, "maxLength": 1024},
        "ce_source": {"type": "string", "minLength": 1, "maxLength": 2048},
        "ce_time": {"type": "string", "format": "date-time"},
    }


def _as_header(schema: Schema) -> Schema:
    """Return the schema of a field as text in a header."""
    own = next((part for part in schema.get("anyOf", ()) if part.get("type") != "null"), schema)
    match own["type"]:
        case "integer":
            return dict(DECIMAL)
        case "number":
            return dict(_MEASURE)
        case "boolean":
            return {"type": "string", "enum": ["true", "false"]}
        case "array":
            return {"type": "string", "pattern": f"^{_MODALITY}(,{_MODALITY})*$"}
        case _:
            return {name: value for name, value in own.items() if name not in {"title", "default"}}


def _tidied(schema: Any) -> Any:  # noqa: ANN401 - any part of a schema
    """Remove generated titles and defaults, require what is always written, express pairs as all drafts do."""
    if isinstance(schema, list):
        return [_tidied(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    tidy = {name: part for name, part in schema.items() if name not in _OMITTED_KEYWORDS}
    for name, part in tidy.items():
        # The names in these two are fields and models, not keywords: a field may be called `default`.
        named = name in {"properties", "$defs"}
        tidy[name] = {inner: _tidied(own) for inner, own in part.items()} if named else _tidied(part)
    if "description" in tidy:
        tidy["description"] = _as_paragraphs(tidy["description"])
    if "prefixItems" in schema:
        tidy["items"] = schema["prefixItems"][0]
    if "properties" in schema:
        tidy["required"] = [name for name, own in schema["properties"].items() if "x-optional" not in own]
    return tidy


def _as_paragraphs(docstring: str) -> str:
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in docstring.split("\n\n"))
