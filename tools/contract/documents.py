"""The text of the documents, and their paths."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import yaml

from tools.contract.asyncapi import asyncapi
from tools.contract.json_schema import Schema, description_schema, page_schema, result_schema

SCHEMAS: Final = Path(__file__).parents[2] / "schemas" / "triptych" / "schemas"
PAGE: Final = Path(__file__).parents[2] / "consumers" / "triptych" / "consumers" / "page"
_HEADING: Final = "# Generated from the models by `python -m tools.contract`. Do not edit.\n"


def written() -> dict[Path, str]:
    """Return the expected content of each file."""
    document = yaml.safe_dump(asyncapi(), sort_keys=False, allow_unicode=True, width=120)
    return {
        SCHEMAS / "result.schema.json": _json(result_schema()),
        SCHEMAS / "description.schema.json": _json(description_schema()),
        PAGE / "api.schema.json": _json(page_schema()),
        SCHEMAS / "asyncapi.yaml": _HEADING + document,
    }


def _json(schema: Schema) -> str:
    return f"{json.dumps(schema, indent=2, ensure_ascii=False)}\n"
