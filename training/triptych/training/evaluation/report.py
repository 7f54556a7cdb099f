"""The report of an evaluation: a Markdown page with plots, and the same numbers as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

from triptych.training.evaluation.calibration import Calibration
from triptych.training.evaluation.classification import Classification, ClassScores, ShareInterval, Tagging
from triptych.training.evaluation.plots import write_plots
from triptych.training.evaluation.regression import Regression
from triptych.training.evaluation.suite import LEAK_ERRORS, Evaluation, Scores, quality

PAGE: Final = "report.md"
NUMBERS: Final = "report.json"
FEW_EXAMPLES: Final = 100
"""Below this many examples a score says little, and the report says so."""


def write_report(evaluation: Evaluation, folder: Path, *, about: Mapping[str, str]) -> Path:
    """Write `report.md`, `report.json` and the plots into a folder, and return the page.

    Args:
        evaluation: the evaluation.
        folder: created if missing.
        about: facts for the head of the page, by heading: the model, its checksum, the duration.
    """
    folder.mkdir(parents=True, exist_ok=True)
    plots = write_plots(evaluation, folder)
    (folder / NUMBERS).write_text(json.dumps(to_json(evaluation, about), indent=1) + "\n", encoding="utf-8")
    page = folder / PAGE
    page.write_text("\n".join(_lines(evaluation, about, plots)) + "\n", encoding="utf-8")
    return page


def to_json(evaluation: Evaluation, about: Mapping[str, str]) -> dict[str, object]:
    """Return the evaluation as plain values. Subsets of modalities are written as `video+audio`."""
    return {
        "about": dict(about),
        **asdict(evaluation),
        "leaks": [named(result.modalities) for result in evaluation.leaks],
        "warnings": list(warnings(evaluation)),
    }


def summary(evaluation: Evaluation) -> Iterator[str]:
    """Yield the most important lines, for a terminal."""
    yield f"{evaluation.data}, {evaluation.split}: {_headline(evaluation.fused)} with all modalities"
    yield from (f"WARNING: {warning}" for warning in warnings(evaluation))
    best = evaluation.best_single
    yield f"best single modality: {named(best.modalities)}, {_headline(best.scores)}"
    if evaluation.confidence is not None:
        before, after = evaluation.confidence.before, evaluation.confidence.after
        yield f"ECE {before.ece:.4f}, after scaling {after.ece:.4f} ({after.low:.4f} to {after.high:.4f})"
    for result in evaluation.leaks:
        yield f"LEAK: {named(result.modalities)} exceeds its ceiling: information leaks into the inputs"
    for mixed in evaluation.shuffled:
        if not mixed.passed:
            yield f"SHUFFLE TEST FAILED: {mixed.anchor}, accuracy {mixed.accuracy:.3f}, limit {mixed.limit:.3f}"


def warnings(evaluation: Evaluation) -> Iterator[str]:
    """Yield what a reader of the numbers must know, one sentence each."""
    few = {
        "": evaluation.fused.count,
        **{named(result.modalities): result.scores.count for result in evaluation.by_subset},
        **{f"shuffle test, {result.anchor}": result.count for result in evaluation.shuffled},
        **{result.split: result.count for result in evaluation.elsewhere},
    }
    few = {part: count for part, count in few.items() if count < FEW_EXAMPLES}
    if "" in few:
        yield (
            f"only {_examples(few[''])}: expected {FEW_EXAMPLES} or more. The scores may be far from those on other "
            "data; read the interval, not the number"
        )
    elif few:
        parts = ", ".join(f"{part} ({count})" for part, count in few.items())
        yield f"fewer than {FEW_EXAMPLES} examples in parts of the report: {parts}"


def named(modalities: Sequence[str]) -> str:
    """Return the name of a subset of modalities."""
    return "+".join(modalities)


def _lines(evaluation: Evaluation, about: Mapping[str, str], plots: Mapping[str, str]) -> Iterator[str]:
    yield f"# {evaluation.data}, {evaluation.split}"
    yield ""
    yield from (f"- {heading}: {value}" for heading, value in about.items())
    yield ""
    yield from _summary(evaluation)
    yield from _section("Every subset of modalities", _subsets(evaluation), plots.get("subsets"))
    if evaluation.confidence is not None:
        yield from _section("Calibration", _confidence(evaluation), plots.get("confidence"))
    if not isinstance(evaluation.fused, Regression):
        yield from _section("By label", _by_class(evaluation.fused.by_class), plots.get("confusion"))
    if evaluation.noise:
        yield from _section("Noise in one modality", _noise(evaluation), plots.get("noise"))
    if evaluation.shuffled:
        yield from _section("Leak tests", _leak_tests(evaluation), None)
    if evaluation.elsewhere:
        yield from _section("Components unseen in training", _further_tests(evaluation), None)


def _section(title: str, lines: Iterator[str], plot: str | None) -> Iterator[str]:
    yield from ("", f"## {title}", "")
    yield from lines
    if plot is not None:
        yield from ("", f"![{title}]({plot})")


def _summary(evaluation: Evaluation) -> Iterator[str]:
    yield f"**{_headline(evaluation.fused)}** with all modalities, {_examples(evaluation.fused.count)}."
    yield ""
    for warning in warnings(evaluation):
        yield f"**Warning: {warning}.**"
        yield ""
    best = evaluation.best_single
    line = f"Best single modality: {named(best.modalities)}, {_headline(best.scores)}."
    if evaluation.advantage is not None:
        low, high = evaluation.advantage.low, evaluation.advantage.high
        line += f" Advantage of all modalities: {evaluation.advantage.mean:+.3f} (95 %: {low:+.3f} to {high:+.3f})."
    yield line
    if quality(evaluation.fused) < quality(best.scores):
        yield ""
        yield "**The fused output is worse than the best single modality.**"
    yield ""
    yield from _table(("", "value"), _all_scores(evaluation.fused))


def _headline(scores: Scores) -> str:
    match scores:
        case Classification():
            return f"accuracy {_with_interval(scores.accuracy, scores.interval)}"
        case Tagging():
            return f"macro F1 {scores.f1_macro:.3f}"
        case Regression():
            return f"mean absolute error {scores.mae:.3f}"


def _with_interval(share: float, interval: ShareInterval) -> str:
    """Return a share with its 95 % interval."""
    return f"{share:.3f} (95 %: {interval.low:.3f} to {interval.high:.3f})"


def _examples(count: int) -> str:
    return "1 example" if count == 1 else f"{count} examples"


def _all_scores(scores: Scores) -> list[tuple[str, str]]:
    return [
        (name.replace("_", " "), "none" if value is None else f"{value:.3f}")
        for name, value in asdict(scores).items()
        if isinstance(value, float) or value is None
    ]


def _subsets(evaluation: Evaluation) -> Iterator[str]:
    rows = []
    for result in evaluation.by_subset:
        ceiling = "" if result.ceiling is None else f"{result.ceiling:.3f}"
        rows.append((named(result.modalities), _headline(result.scores), ceiling, str(result.scores.count)))
    yield from _table(("modalities", "score", "best possible", "examples"), rows)


def _confidence(evaluation: Evaluation) -> Iterator[str]:
    if evaluation.confidence is None:
        return
    rows = [
        ("unscaled", "1", *_errors(evaluation.confidence.before)),
        ("after scaling", f"{evaluation.confidence.temperature:.3f}", *_errors(evaluation.confidence.after)),
    ]
    yield from _table(("", "temperature", "ECE", "95 % interval", "ECE, biased"), rows)
    yield ""
    yield "Ten bins of equal mass; the ECE is debiased. The temperature is the one that the model is served with."


def _errors(result: Calibration) -> tuple[str, str, str]:
    return f"{result.ece:.4f}", f"{result.low:.4f} to {result.high:.4f}", f"{result.ece_counted:.4f}"


def _by_class(scores: Sequence[ClassScores]) -> Iterator[str]:
    rows = [
        (result.label, f"{result.precision:.3f}", f"{result.recall:.3f}", f"{result.f1:.3f}", str(result.support))
        for result in scores
    ]
    yield from _table(("label", "precision", "recall", "F1", "examples"), rows)


def _noise(evaluation: Evaluation) -> Iterator[str]:
    levels = evaluation.noise[0].levels
    rows = [
        (
            curve.modality,
            *(f"{accuracy:.3f}" for accuracy in curve.fused),
            f"{curve.relative:.3f}",
            f"{curve.effective:+.3f}",
        )
        for curve in evaluation.noise
    ]
    headings = ("noise in", *(f"{level:g}" for level in levels), "relative", "effective")
    yield from _table(headings, rows)
    yield ""
    yield "Relative: area under the curve. Effective: advantage over late fusion of the same model's single modalities."


def _leak_tests(evaluation: Evaluation) -> Iterator[str]:
    leaks = ", ".join(named(result.modalities) for result in evaluation.leaks)
    if any(result.ceiling is not None for result in evaluation.by_subset):
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
            result.anchor,
            _with_interval(result.accuracy, result.interval),
            f"{result.limit:.3f}",
            "yes" if result.passed else "**no**",
        )
        for result in evaluation.shuffled
    ]
    yield from _table(("kept modality", "accuracy", "limit", "passed"), rows)


def _further_tests(evaluation: Evaluation) -> Iterator[str]:
    rows = [
        (result.split, _with_interval(result.accuracy, result.interval), str(result.count))
        for result in evaluation.elsewhere
    ]
    yield from _table(("split", "accuracy", "examples"), rows)


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    for row in (headings, ["---"] * len(headings), *rows):
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |"
