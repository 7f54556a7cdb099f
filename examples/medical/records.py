"""Structured records: from a FHIR bundle to a vector for the model, and to facts for the rules.

Of a patient only the sex and the decade of age are read; names and ids are not. A value that is not in the bundle is
missing, and the vector says so: it is never a zero that looks like a measurement.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from triptych.schemas.errors import UsageError

LOINC_NAMES: Final[Mapping[str, str]] = {
    "8664-5": "pack_years",
    "1988-5": "crp_mg_per_l",
    "33762-6": "nt_probnp_pg_per_ml",
}
"""The observations that are read, by their LOINC code."""

FIELDS: Final = (*LOINC_NAMES.values(), "age_decade", "is_female")
_YEARS_IN_DECADE: Final = 10
_OLDEST: Final = 90
"""Ages from 90 on are one group: few people are that old, so an age would identify them."""


@dataclass(frozen=True, slots=True)
class StructuredRecord:
    """Values by name, of `FIELDS`. A missing value is not in the mapping."""

    values: Mapping[str, float]

    def vector(self) -> NDArray[np.float32]:
        """Return float32 [1, 2 K]: log1p of each value or 0, then whether each value is there."""
        logs = [np.log1p(self.values.get(name, 0.0)) for name in FIELDS]
        return np.array([[*logs, *(float(name in self.values) for name in FIELDS)]], np.float32)


VECTOR_DIMS: Final = 2 * len(FIELDS)


def read_record(path: Path) -> StructuredRecord:
    """Return the record of a FHIR bundle.

    Raises:
        UsageError: it is no bundle as JSON.
    """
    try:
        bundle = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: expected a FHIR bundle as JSON, got: {error}") from error
    if not isinstance(bundle, dict) or bundle.get("resourceType") != "Bundle":
        raise UsageError(f"{path}: expected the resourceType Bundle")
    resources = [entry["resource"] for entry in bundle.get("entry", []) if "resource" in entry]
    values: dict[str, float] = {}
    latest = ""
    for resource in resources:
        if resource.get("resourceType") == "Observation":
            values |= dict(_observation(resource))
            latest = max(latest, str(resource.get("effectiveDateTime", "")))
    for resource in resources:
        if resource.get("resourceType") == "Patient":
            values |= dict(_patient(resource, latest))
    return StructuredRecord(values)


def _observation(resource: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    for coding in resource.get("code", {}).get("coding", []):
        name = LOINC_NAMES.get(str(coding.get("code")))
        value = resource.get("valueQuantity", {}).get("value")
        if coding.get("system") == "http://loinc.org" and name and isinstance(value, (int, float)):
            yield name, float(value)


def _patient(resource: Mapping[str, Any], at: str) -> Iterator[tuple[str, float]]:
    if resource.get("gender") in {"female", "male"}:
        yield "is_female", float(resource["gender"] == "female")
    born = str(resource.get("birthDate", ""))[:4]
    if born.isdecimal() and at[:4].isdecimal():
        age = min(int(at[:4]) - int(born), _OLDEST)
        yield "age_decade", float(age // _YEARS_IN_DECADE)
