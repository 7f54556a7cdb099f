"""Expert rules as a small typed graph: from findings and facts to publications that a physician may want to read.

A rule suggests nothing but a citation. The thresholds serve the phantoms, and the citations were not checked against
the full texts: whoever uses real rules has them written and checked by physicians.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class FindingClause:
    """Holds if the model found the finding, and did not abstain."""

    finding: str


@dataclass(frozen=True, slots=True)
class FactClause:
    """Holds if the record has the fact, and it is at least `least`. Without the fact it does not hold."""

    fact: str
    least: float


Clause = FindingClause | FactClause


@dataclass(frozen=True, slots=True)
class ExpertRule:
    """Cites a publication where all clauses hold."""

    name: str
    clauses: tuple[Clause, ...]
    citation: str


@dataclass(frozen=True, slots=True)
class CitedRule:
    """A rule that holds, with the reason for each clause."""

    rule: str
    because: tuple[str, ...]
    citation: str


RULES: Final = (
    ExpertRule(
        "nodule in a smoker",
        (FindingClause("nodule"), FactClause("pack_years", 20)),
        "MacMahon H et al. Guidelines for management of incidental pulmonary nodules detected on CT images: from the "
        "Fleischner Society 2017. Radiology 2017;284:228-243",
    ),
    ExpertRule(
        "effusion with inflammation",
        (FindingClause("effusion"), FactClause("crp_mg_per_l", 50)),
        "Roberts ME et al. British Thoracic Society guideline for pleural disease. Thorax 2023;78(Suppl 3):s1-s42",
    ),
    ExpertRule(
        "large heart with a raised peptide",
        (FindingClause("large_heart"), FactClause("nt_probnp_pg_per_ml", 125)),
        "McDonagh TA et al. 2021 ESC guidelines for the diagnosis and treatment of acute and chronic heart failure. "
        "Eur Heart J 2021;42:3599-3726",
    ),
)


def cited_rules(
    found: Mapping[str, float], facts: Mapping[str, float], rules: Sequence[ExpertRule] = RULES
) -> list[CitedRule]:
    """Return the rules that hold.

    Args:
        found: probability of each finding that the model found.
        facts: values of the record by name.
        rules: the rules to try.
    """
    cited = []
    for rule in rules:
        reasons = [_reason(clause, found, facts) for clause in rule.clauses]
        because = tuple(reason for reason in reasons if reason is not None)
        if len(because) == len(reasons):
            cited.append(CitedRule(rule.name, because, rule.citation))
    return cited


def _reason(clause: Clause, found: Mapping[str, float], facts: Mapping[str, float]) -> str | None:
    match clause:
        case FindingClause(finding):
            return f"{finding} found, probability {found[finding]:.2f}" if finding in found else None
        case FactClause(fact, least):
            value = facts.get(fact)
            return f"{fact} is {value:g}, at least {least:g}" if value is not None and value >= least else None
