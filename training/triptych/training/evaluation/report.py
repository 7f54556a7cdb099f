"""The report of an evaluation: a Markdown page with plots, and the same numbers as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

from triptych.training.evaluation.calibration import Calibration
from triptych.training.evaluation.classification import Classification, ClassScores, Tagging
from triptych.training.evaluation.plots import write_plots
from triptych.training.evaluation.regression import Regression
from triptych.training.evaluation.suite import LEAK_ERRORS, Evaluation, Scores, quality

PAGE: Final = "report.md"
NUMBERS: Final = "report.json"


def write_report(found: Evaluation, folder: Path, *, about: Mapping[str, str]) -> Path:
    """Write `report.md`, `report.json` and the plots into a folder, and return the page.

    Args:
        found: the evaluation.
        folder: created if missing.
        about: facts for the head of the page, by heading: the model, its checksum, the duration.
    """
    folder.mkdir(parents=True, exist_ok=True)
    plots = write_plots(found, folder)
    (folder / NUMBERS).write_text(json.dumps(to_json(found, about), indent=1) + "\n", encoding="utf-8")
    page = folder / PAGE
    page.write_text("\n".join(_lines(found, about, plots)) + "\n", encoding="utf-8")
    return page


def to_json(found: Evaluation, about: Mapping[str, str]) -> dict[str, object]:
    """Return the evaluation as plain values. Subsets of modalities are written as `video+audio`."""
    return {"about": dict(about), **asdict(found), "leaks": [named(own.modalities) for own in found.leaks]}


def summary(found: Evaluation) -> Iterator[str]:
    """Yield the most important lines, for a terminal."""
    yield f"{found.data}, {found.split}: {_headline(found.fused)} with all modalities"
    yield f"best single modality: {named(found.best_single.modalities)}, {_headline(found.best_single.scores)}"
    if found.confidence is not None:
        before, after = found.confidence.before, found.confidence.after
        yield f"ECE {before.ece:.4f}, after scaling {after.ece:.4f} ({after.low:.4f} to {after.high:.4f})"
    for own in found.leaks:
        yield f"LEAK: {named(own.modalities)} exceeds its ceiling: information leaks into the inputs"
    for mixed in found.shuffled:
        if not mixed.passed:
            yield f"SHUFFLE TEST FAILED: {mixed.anchor}, accuracy {mixed.accuracy:.3f}, limit {mixed.limit:.3f}"


def named(modalities: Sequence[str]) -> str:
    """Return the name of a subset of modalities."""
    return "+".join(modalities)


def _lines(found: Evaluation, about: Mapping[str, str], plots: Mapping[str, str]) -> Iterator[str]:
    yield f"# {found.data}, {found.split}"
    yield ""
    yield from (f"- {heading}: {value}" for heading, value in about.items())
    yield ""
    yield from _summary(found)
    yield from _section("Every subset of modalities", _subsets(found), plots.get("subsets"))
    if found.confidence is not None:
        yield from _section("Calibration", _confidence(found), plots.get("confidence"))
    if not isinstance(found.fused, Regression):
        yield from _section("By label", _by_class(found.fused.by_class), plots.get("confusion"))
    if found.noise:
        yield from _section("Noise in one modality", _noise(found), plots.get("noise"))
    if found.shuffled:
        yield from _section("Leak tests", _leak_tests(found), None)
    if found.elsewhere:
        yield from _section("Components unseen in training", _elsewhere(found), None)


def _section(title: str, lines: Iterator[str], plot: str | None) -> Iterator[str]:
    yield from ("", f"## {title}", "")
    yield from lines
    if plot is not None:
        yield from ("", f"![{title}]({plot})")


def _summary(found: Evaluation) -> Iterator[str]:
    yield f"**{_headline(found.fused)}** with all modalities, {found.fused.count} examples."
    yield ""
    best = found.best_single
    line = f"Best single modality: {named(best.modalities)}, {_headline(best.scores)}."
    if found.advantage is not None:
        low, high = found.advantage.low, found.advantage.high
        line += f" Advantage of all modalities: {found.advantage.mean:+.3f} (95 %: {low:+.3f} to {high:+.3f})."
    yield line
    if quality(found.fused) < quality(best.scores):
        yield ""
        yield "**The fused output is worse than the best single modality.**"
    yield ""
    yield from _table(("", "value"), _all_scores(found.fused))


def _headline(scores: Scores) -> str:
    match scores:
        case Classification():
            return f"accuracy {scores.accuracy:.3f} ± {scores.standard_error:.3f}"
        case Tagging():
            return f"macro F1 {scores.f1_macro:.3f}"
        case Regression():
            return f"mean absolute error {scores.mae:.3f}"


def _all_scores(scores: Scores) -> list[tuple[str, str]]:
    return [
        (name.replace("_", " "), "none" if value is None else f"{value:.3f}")
        for name, value in asdict(scores).items()
        if isinstance(value, float) or value is None
    ]


def _subsets(found: Evaluation) -> Iterator[str]:
    rows = []
    for own in found.by_subset:
        ceiling = "" if own.ceiling is None else f"{own.ceiling:.3f}"
        rows.append((named(own.modalities), _headline(own.scores), ceiling, str(own.scores.count)))
    yield from _table(("modalities", "score", "best possible", "examples"), rows)


def _confidence(found: Evaluation) -> Iterator[str]:
    if found.confidence is None:
        return
    rows = [
        ("unscaled", "1", *_errors(found.confidence.before)),
        ("after scaling", f"{found.confidence.temperature:.3f}", *_errors(found.confidence.after)),
    ]
    yield from _table(("", "temperature", "ECE", "95 % interval", "ECE, biased"), rows)
    yield ""
    yield "Ten bins of equal mass; the ECE is debiased. The temperature is the one that the model is served with."


def _errors(own: Calibration) -> tuple[str, str, str]:
    return f"{own.ece:.4f}", f"{own.low:.4f} to {own.high:.4f}", f"{own.ece_counted:.4f}"


def _by_class(scores: Sequence[ClassScores]) -> Iterator[str]:
    rows = [
        (own.label, f"{own.precision:.3f}", f"{own.recall:.3f}", f"{own.f1:.3f}", str(own.support)) for own in scores
    ]
    yield from _table(("label", "precision", "recall", "F1", "examples"), rows)


def _noise(found: Evaluation) -> Iterator[str]:
    levels = found.noise[0].levels
    rows = [
        (
            curve.modality,
            *(f"{accuracy:.3f}" for accuracy in curve.fused),
            f"{curve.relative:.3f}",
            f"{curve.effective:+.3f}",
        )
        for curve in found.noise
    ]
    headings = ("noise in", *(f"{level:g}" for level in levels), "relative", "effective")
    yield from _table(headings, rows)
    yield ""
    yield "Relative: area under the curve. Effective: advantage over late fusion of the same model's single modalities."


def _leak_tests(found: Evaluation) -> Iterator[str]:
    leaks = ", ".join(named(own.modalities) for own in found.leaks)
    if any(own.ceiling is not None for own in found.by_subset):
        yield (
            f"Leak test: **failed** for {leaks}: above the ceiling by more than {LEAK_ERRORS:g} standard errors."
            if leaks
            else f"Leak test: passed. No subset is above its ceiling by more than {LEAK_ERRORS:g} standard errors."
        )
        yield ""
    yield "Shuffle test: one modality stays, the others are taken from other examples."
    yield ""
    rows = [
        (
            own.anchor,
            f"{own.accuracy:.3f} ± {own.standard_error:.3f}",
            f"{own.limit:.3f}",
            "yes" if own.passed else "**no**",
        )
        for own in found.shuffled
    ]
    yield from _table(("kept modality", "accuracy", "limit", "passed"), rows)


def _elsewhere(found: Evaluation) -> Iterator[str]:
    rows = [(own.split, f"{own.accuracy:.3f} ± {own.standard_error:.3f}", str(own.count)) for own in found.elsewhere]
    yield from _table(("split", "accuracy", "examples"), rows)


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    for row in (headings, ["---"] * len(headings), *rows):
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |"
