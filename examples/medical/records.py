"""Structured records: from a FHIR bundle to a vector for the model, and to facts for the rules.

Of a patient only the sex and the decade of age are read; names and ids are not. A value that is not in the bundle is
missing, and the vector says so: it is never a zero that looks like a measurement. A value that cannot be meant, such as
a negative one or one in another unit, is refused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NoReturn

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from triptych.schemas.errors import UsageError

_PACK_YEARS: Final = frozenset({"{PackYears}", "{pack-years}", "pack-years", "pack years"})
LOINC_NAMES: Final[Mapping[str, tuple[str, frozenset[str]]]] = {
    "8664-5": ("pack_years", _PACK_YEARS),
    "1988-5": ("crp_mg_per_l", frozenset({"mg/L"})),
    "33762-6": ("nt_probnp_pg_per_ml", frozenset({"pg/mL", "ng/L"})),
}
"""The observations that are read, by their LOINC code: name, and the units in which the value is the same number."""

FIELDS: Final = (*(name for name, _ in LOINC_NAMES.values()), "age_decade", "is_female")
_LOINC: Final = "http://loinc.org"
_VALID: Final = frozenset({"final", "amended", "corrected"})
"""Statuses of an observation that counts. Others are not finished, were cancelled, or were entered in error."""
_YEARS_IN_DECADE: Final = 10
_OLDEST: Final = 90
"""Ages from 90 on are one group: few people are that old, so an age would identify them."""


class _Fhir(BaseModel):
    """A part of a resource. What is not read is ignored."""

    model_config = ConfigDict(strict=True, frozen=True)


class _Coding(_Fhir):
    system: str = ""
    code: str = ""


class _Concept(_Fhir):
    coding: list[_Coding] = []


class _Quantity(_Fhir):
    value: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    unit: str = ""
    code: str = ""


class _Observation(_Fhir):
    resourceType: Literal["Observation"]  # noqa: N815 - as in FHIR
    status: str
    code: _Concept
    valueQuantity: _Quantity = _Quantity()  # noqa: N815 - as above
    effectiveDateTime: str = ""  # noqa: N815 - as above


class _Patient(_Fhir):
    resourceType: Literal["Patient"]  # noqa: N815 - as above
    gender: str = ""
    birthDate: str = ""  # noqa: N815 - as above


_READ: Final[Mapping[str, type[_Observation | _Patient]]] = {"Observation": _Observation, "Patient": _Patient}


class _Bundle(_Fhir):
    resourceType: Literal["Bundle"]  # noqa: N815 - as above
    entry: list[dict[str, Any]] = []


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
    """Return the record of a FHIR bundle. Of several observations of one kind, the latest counts.

    Raises:
        UsageError: it is no bundle as JSON, or a value of it cannot be meant.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse_constant)
        entries = _Bundle.model_validate(document).entry
    except ValidationError as error:
        raise UsageError(
            f"{path}: expected a FHIR bundle with the resourceType Bundle, got: {_first(error)}"
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"{path}: expected a FHIR bundle as JSON, got: {error}") from error
    observations: list[_Observation] = []
    patients: list[_Patient] = []
    for number, entry in enumerate(entries):
        match _resource_of(entry, f"{path}: entry[{number}]"):
            case _Observation() as observation if observation.status in _VALID:
                observations.append(observation)
            case _Patient() as patient:
                patients.append(patient)
    values: dict[str, float] = {}
    # A sort keeps the order of the file where dates are equal or missing.
    for observation in sorted(observations, key=lambda one: one.effectiveDateTime):
        values |= _measured(observation, path)
    latest = max((one.effectiveDateTime for one in observations), default="")
    for patient in patients:
        values |= _described(patient, latest, path)
    return StructuredRecord(values)


def _resource_of(entry: Mapping[str, Any], where: str) -> _Observation | _Patient | None:
    """Return a resource that is read; None for others."""
    if "resource" not in entry:
        return None
    resource = entry["resource"]
    kind = resource.get("resourceType") if isinstance(resource, dict) else None
    if not isinstance(kind, str):
        raise UsageError(f"{where}: expected a FHIR resource with a resourceType, got something else")
    model = _READ.get(kind)
    try:
        return None if model is None else model.model_validate(resource)
    except ValidationError as error:
        raise UsageError(f"{where}: expected a FHIR resource, got: {_first(error)}") from error


def _measured(observation: _Observation, path: Path) -> dict[str, float]:
    quantity, found = observation.valueQuantity, dict[str, float]()
    for coding in observation.code.coding:
        name, units = LOINC_NAMES.get(coding.code, ("", frozenset()))
        if coding.system != _LOINC or not name or quantity.value is None:
            continue
        if not {quantity.code, quantity.unit} & units:
            raise UsageError(
                f"{path}: {name}: expected a value in {' or '.join(sorted(units))}, got one in "
                f"{quantity.code or quantity.unit or 'no unit'}"
            )
        found[name] = quantity.value
    return found


def _described(patient: _Patient, at: str, path: Path) -> dict[str, float]:
    found: dict[str, float] = {}
    if patient.gender in {"female", "male"}:
        found["is_female"] = float(patient.gender == "female")
    born, year = patient.birthDate[:4], at[:4]
    if born.isdecimal() and year.isdecimal():
        if int(born) > int(year):
            raise UsageError(f"{path}: expected a birthDate before the observations, got {born} and {year}")
        found["age_decade"] = float(min(int(year) - int(born), _OLDEST) // _YEARS_IN_DECADE)
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name}, which is no number of JSON")


def _first(error: ValidationError) -> str:
    wrong = error.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(map(str, wrong['loc'])) or 'the whole'}: {wrong['msg']}"
