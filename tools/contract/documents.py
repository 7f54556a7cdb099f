"""The two documents as text, and where they lie."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import yaml

from tools.contract.asyncapi import asyncapi
from tools.contract.json_schema import result_schema

SCHEMAS: Final = Path(__file__).parents[2] / "schemas" / "triptych" / "schemas"
_HEADING: Final = "# Made from the models by `python -m tools.contract`; change those.\n"


def written() -> dict[Path, str]:
    """Return what ought to stand in each file."""
    schema = json.dumps(result_schema(), indent=2, ensure_ascii=False)
    document = yaml.safe_dump(asyncapi(), sort_keys=False, allow_unicode=True, width=120)
    return {SCHEMAS / "result.schema.json": f"{schema}\n", SCHEMAS / "asyncapi.yaml": _HEADING + document}
