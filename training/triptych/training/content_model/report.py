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


def write_report(found: CrossValidation, folder: Path, *, about: Mapping[str, str]) -> Path:
    """Write page, plot and numbers into a folder, and return the page."""
    folder.mkdir(parents=True, exist_ok=True)
    _draw(found, folder / PLOT)
    (folder / NUMBERS).write_text(json.dumps(as_numbers(found), indent=1) + "\n", encoding="utf-8")
    page = folder / PAGE
    page.write_text("\n".join(_lines(found, about)) + "\n", encoding="utf-8")
    return page


def summary(found: CrossValidation) -> Iterator[str]:
    """Yield the most important results, a line each."""
    everything = found.shown[-1]
    yield f"accuracy {everything.accuracy:.3f} ± {everything.deviation:.3f}, of {found.count} stamps"
    for rival in found.rivals:
        yield f"{_difference(rival)} over the best single modality of {rival.accuracy:.3f} ({rival.name})"
    intervals = ", ".join(_interval(own) for own in found.confidence.after)
    yield f"calibration error {found.confidence.ece:.3f} (by seed: {intervals})"
    if min(rival.advantage.low for rival in found.rivals) <= 0:
        yield "no better than a single modality: the interval contains 0"


def as_numbers(found: CrossValidation) -> dict[str, Any]:
    """Return the results as plain values."""
    return {
        "protocol": f"{FOLDS} folds by motif, seeds {', '.join(map(str, SEEDS))}",
        "subsets": {"+".join(own.modalities): _rate(own.accuracy, own.deviation, own.count) for own in found.shown},
        "regressions": {
            own.modality: _rate(own.accuracy, own.deviation, own.count) | {"C": own.strength} for own in found.alone
        },
        "best_single": {
            rival.name: {"accuracy": _round(rival.accuracy)}
            | {f"advantage_{name}": _round(getattr(rival.advantage, name)) for name in ("mean", "low", "high")}
            for rival in found.rivals
        },
        "ece": {
            "before": [_calibration(own) for own in found.confidence.before],
            "after": [_calibration(own) for own in found.confidence.after],
        },
        "temperature": found.temperature,
        "languages": {
            language: {"words": _round(words), "all": _round(everything)}
            for language, (words, everything) in found.by_language.items()
        },
        "f1_macro": _round(found.scores.f1_macro),
        "balanced_accuracy": _round(found.scores.balanced_accuracy),
        "recall": {own.label: _round(own.recall) for own in found.scores.by_class},
        "confusion": found.scores.confusion,
    }


def _lines(found: CrossValidation, about: Mapping[str, str]) -> Iterator[str]:
    yield "# The content model: what a window is about"
    yield ""
    yield f"{found.count} stamps of {found.motifs} motifs, {len(found.labels)} labels; {FOLDS} folds by motif, "
    yield f"{len(SEEDS)} seeds. " + "; ".join(f"{name}: {value}" for name, value in about.items())
    yield ""
    yield from (f"- {line}" for line in summary(found))
    yield ""
    yield f"![accuracy by modality, and confidence]({PLOT})"
    yield ""
    yield "| modalities | stamps | the model | a regression on the same encoder |"
    yield "| --- | --- | --- | --- |"
    alone: dict[tuple[str, ...], RegressionBaseline] = {(own.modality,): own for own in found.alone}
    for own in found.shown:
        rival = alone.get(own.modalities)
        beside = "" if rival is None else f"{rival.accuracy:.3f} ± {rival.deviation:.3f}"
        yield f"| {' + '.join(own.modalities)} | {own.count} | {own.accuracy:.3f} ± {own.deviation:.3f} | {beside} |"
    yield ""
    yield "| label | stamps | precision | recall | F1 | recall of the best single modality |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for mine, rivals in zip(found.scores.by_class, found.rival_scores.by_class, strict=True):
        numbers = " | ".join(f"{number:.2f}" for number in (mine.precision, mine.recall, mine.f1, rivals.recall))
        yield f"| {mine.label} | {mine.support} | {numbers} |"
    yield ""
    yield "| language of the caption | words alone | all |"
    yield "| --- | --- | --- |"
    for language, (words, everything) in found.by_language.items():
        yield f"| {language} | {words:.3f} | {everything:.3f} |"
    yield ""
    yield "| seed | calibration error at temperature 1 | after scaling, fitted on the other folds |"
    yield "| --- | --- | --- |"
    for seed, before, after in zip(SEEDS, found.confidence.before, found.confidence.after, strict=True):
        yield f"| {seed} | {_interval(before)} | {_interval(after)} |"


def _draw(found: CrossValidation, path: Path) -> None:
    from matplotlib.figure import Figure  # noqa: PLC0415 - slow to import

    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    _draw_subsets(found, left)
    _draw_confidence(found, right)
    figure.savefig(path, dpi=110)


def _draw_subsets(found: CrossValidation, axes: Axes) -> None:
    names = [" + ".join(own.modalities) for own in found.shown]
    places = range(len(names))
    rates, spread = [own.accuracy for own in found.shown], [own.deviation for own in found.shown]
    axes.barh(places, rates, xerr=spread, color="tab:blue", label="the model")
    alone = {(own.modality,): own.accuracy for own in found.alone}
    known = [(alone[own.modalities], place) for place, own in enumerate(found.shown) if own.modalities in alone]
    axes.scatter(
        [rate for rate, _ in known], [place for _, place in known], marker="|", s=300, color="black",
        label="a regression on the same encoder",
    )  # fmt: skip
    axes.set_yticks(places, names)
    axes.invert_yaxis()
    axes.set_xlim(0, 1)
    axes.set_xlabel("accuracy")
    axes.legend(loc="lower left", fontsize="small")


def _draw_confidence(found: CrossValidation, axes: Axes) -> None:
    axes.plot([0, 1], [0, 1], color="grey", linestyle="--", label="perfect calibration")
    for seed, own in zip(SEEDS, found.confidence.after, strict=True):
        axes.plot(
            [one.confidence for one in own.bins], [one.accuracy for one in own.bins], marker="o", label=f"seed {seed}"
        )
    axes.set_xlabel("confidence, scaled with the other folds' temperature")
    axes.set_ylabel("accuracy")
    axes.legend(fontsize="small")


def _difference(rival: SingleModalityBaseline) -> str:
    own = rival.advantage
    return f"{own.mean:+.3f} (95 %: {own.low:+.3f} to {own.high:+.3f})"


def _interval(own: Calibration) -> str:
    return f"{own.ece:.3f} ({own.low:.3f} to {own.high:.3f})"


def _rate(accuracy: float, deviation: float, count: int) -> dict[str, float]:
    return {"accuracy": _round(accuracy), "deviation": _round(deviation), "count": count}


def _calibration(own: Calibration) -> dict[str, float]:
    return {name: _round(getattr(own, name)) for name in ("ece", "low", "high", "ece_counted")}


def _round(number: float) -> float:
    return round(float(number), _DIGITS)
