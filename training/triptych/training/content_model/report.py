"""The report of the cross-validation: a Markdown page with a plot, and numbers for the card."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from triptych.training.content_model.cross_validation import (
    FOLDS,
    SEEDS,
    CrossValidation,
    RegressionBaseline,
    SingleModalityBaseline,
)
from triptych.training.evaluation.calibration import Calibration

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PAGE: Final = "report.md"
PLOT: Final = "content.png"
NUMBERS: Final = "report.json"
_DIGITS: Final = 4


def write_report(results: CrossValidation, folder: Path, *, about: Mapping[str, str]) -> Path:
    """Write page, plot and numbers into a folder, and return the page."""
    folder.mkdir(parents=True, exist_ok=True)
    _draw(results, folder / PLOT)
    (folder / NUMBERS).write_text(json.dumps(as_numbers(results), indent=1) + "\n", encoding="utf-8")
    page = folder / PAGE
    page.write_text("\n".join(_lines(results, about)) + "\n", encoding="utf-8")
    return page


def summary(results: CrossValidation) -> Iterator[str]:
    """Yield the most important results, a line each."""
    everything = results.by_subset[-1]
    yield f"accuracy {everything.accuracy:.3f} ± {everything.deviation:.3f}, of {results.count} stamps"
    for baseline in results.baselines:
        yield f"{_difference(baseline)} over the best single modality of {baseline.accuracy:.3f} ({baseline.name})"
    intervals = ", ".join(_interval(result) for result in results.confidence.after)
    yield f"calibration error {results.confidence.ece:.3f} (by seed: {intervals})"
    if min(baseline.advantage.low for baseline in results.baselines) <= 0:
        yield "no better than a single modality: the interval contains 0"


def as_numbers(results: CrossValidation) -> dict[str, Any]:
    """Return the results as plain values."""
    return {
        "protocol": f"{FOLDS} folds by motif, seeds {', '.join(map(str, SEEDS))}",
        "subsets": {
            "+".join(result.modalities): _rate(result.accuracy, result.deviation, result.count)
            for result in results.by_subset
        },
        "regressions": {
            result.modality: _rate(result.accuracy, result.deviation, result.count) | {"C": result.strength}
            for result in results.regressions
        },
        "best_single": {
            baseline.name: {"accuracy": _round(baseline.accuracy)}
            | {f"advantage_{name}": _round(getattr(baseline.advantage, name)) for name in ("mean", "low", "high")}
            for baseline in results.baselines
        },
        "ece": {
            "before": [_calibration(result) for result in results.confidence.before],
            "after": [_calibration(result) for result in results.confidence.after],
        },
        "temperature": results.temperature,
        "languages": {
            language: {"words": _round(words), "all": _round(everything)}
            for language, (words, everything) in results.by_language.items()
        },
        "f1_macro": _round(results.scores.f1_macro),
        "balanced_accuracy": _round(results.scores.balanced_accuracy),
        "recall": {result.label: _round(result.recall) for result in results.scores.by_class},
        "confusion": results.scores.confusion,
    }


def _lines(results: CrossValidation, about: Mapping[str, str]) -> Iterator[str]:
    yield "# The content model: what a window is about"
    yield ""
    yield f"{results.count} stamps of {results.motifs} motifs, {len(results.labels)} labels; {FOLDS} folds by motif, "
    yield f"{len(SEEDS)} seeds. " + "; ".join(f"{name}: {value}" for name, value in about.items())
    yield ""
    yield from (f"- {line}" for line in summary(results))
    yield ""
    yield f"![accuracy by modality, and confidence]({PLOT})"
    yield ""
    yield "| modalities | stamps | the model | a regression on the same encoder |"
    yield "| --- | --- | --- | --- |"
    regressions: dict[tuple[str, ...], RegressionBaseline] = {
        (result.modality,): result for result in results.regressions
    }
    for result in results.by_subset:
        baseline = regressions.get(result.modalities)
        beside = "" if baseline is None else f"{baseline.accuracy:.3f} ± {baseline.deviation:.3f}"
        names, accuracy = " + ".join(result.modalities), f"{result.accuracy:.3f} ± {result.deviation:.3f}"
        yield f"| {names} | {result.count} | {accuracy} | {beside} |"
    yield ""
    yield "| label | stamps | precision | recall | F1 | recall of the best single modality |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for mine, baselines in zip(results.scores.by_class, results.baseline_scores.by_class, strict=True):
        numbers = " | ".join(f"{number:.2f}" for number in (mine.precision, mine.recall, mine.f1, baselines.recall))
        yield f"| {mine.label} | {mine.support} | {numbers} |"
    yield ""
    yield "| language of the caption | words alone | all |"
    yield "| --- | --- | --- |"
    for language, (words, everything) in results.by_language.items():
        yield f"| {language} | {words:.3f} | {everything:.3f} |"
    yield ""
    yield "| seed | calibration error at temperature 1 | after scaling, fitted on the other folds |"
    yield "| --- | --- | --- |"
    for seed, before, after in zip(SEEDS, results.confidence.before, results.confidence.after, strict=True):
        yield f"| {seed} | {_interval(before)} | {_interval(after)} |"


def _draw(results: CrossValidation, path: Path) -> None:
    from matplotlib.figure import Figure  # noqa: PLC0415 - slow to import

    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    _draw_subsets(results, left)
    _draw_confidence(results, right)
    figure.savefig(path, dpi=110)


def _draw_subsets(results: CrossValidation, axes: Axes) -> None:
    names = [" + ".join(result.modalities) for result in results.by_subset]
    places = range(len(names))
    rates, spread = (
        [result.accuracy for result in results.by_subset],
        [result.deviation for result in results.by_subset],
    )
    axes.barh(places, rates, xerr=spread, color="tab:blue", label="the model")
    regressions = {(result.modality,): result.accuracy for result in results.regressions}
    known = [
        (regressions[result.modalities], index)
        for index, result in enumerate(results.by_subset)
        if result.modalities in regressions
    ]
    axes.scatter(
        [rate for rate, _ in known], [index for _, index in known], marker="|", s=300, color="black",
        label="a regression on the same encoder",
    )  # fmt: skip
    axes.set_yticks(places, names)
    axes.invert_yaxis()
    axes.set_xlim(0, 1)
    axes.set_xlabel("accuracy")
    axes.legend(loc="lower left", fontsize="small")


def _draw_confidence(results: CrossValidation, axes: Axes) -> None:
    axes.plot([0, 1], [0, 1], color="grey", linestyle="--", label="perfect calibration")
    for seed, result in zip(SEEDS, results.confidence.after, strict=True):
        axes.plot(
            [one.confidence for one in result.bins],
            [one.accuracy for one in result.bins],
            marker="o",
            label=f"seed {seed}",
        )
    axes.set_xlabel("confidence, scaled with the other folds' temperature")
    axes.set_ylabel("accuracy")
    axes.legend(fontsize="small")


def _difference(baseline: SingleModalityBaseline) -> str:
    result = baseline.advantage
    return f"{result.mean:+.3f} (95 %: {result.low:+.3f} to {result.high:+.3f})"


def _interval(result: Calibration) -> str:
    return f"{result.ece:.3f} ({result.low:.3f} to {result.high:.3f})"


def _rate(accuracy: float, deviation: float, count: int) -> dict[str, float]:
    return {"accuracy": _round(accuracy), "deviation": _round(deviation), "count": count}


def _calibration(result: Calibration) -> dict[str, float]:
    return {name: _round(getattr(result, name)) for name in ("ece", "low", "high", "ece_counted")}


def _round(number: float) -> float:
    return round(float(number), _DIGITS)
