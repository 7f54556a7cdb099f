"""The text of the two documents, and their paths."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import yaml

from tools.contract.asyncapi import asyncapi
from tools.contract.json_schema import result_schema

SCHEMAS: Final = Path(__file__).parents[2] / "schemas" / "triptych" / "schemas"
_HEADING: Final = "# Generated from the models by `python -m tools.contract`. Do not edit.\n"


def written() -> dict[Path, str]:
    """Return the expected content of each file."""
    schema = json.dumps(result_schema(), indent=2, ensure_ascii=False)
    document = yaml.safe_dump(asyncapi(), sort_keys=False, allow_unicode=True, width=120)
    return {SCHEMAS / "result.schema.json": f"{schema}\n", SCHEMAS / "asyncapi.yaml": _HEADING + document}
