"""The plots of a report, as PNG files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from triptych.training.evaluation.classification import Classification
from triptych.training.evaluation.suite import Evaluation, quality

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_INCH_BY_LABEL: Final = 0.35
_LEAST_INCHES: Final = 4.0
_MOST_NUMBERED: Final = 20


def write_plots(evaluation: Evaluation, folder: Path) -> Mapping[str, str]:
    """Write the plots that apply, and return their file names by content."""
    drawers = {"subsets": _draw_subsets}
    if isinstance(evaluation.fused, Classification):
        drawers["confusion"] = _draw_confusion
    if evaluation.confidence is not None:
        drawers["confidence"] = _draw_confidence
    if evaluation.noise:
        drawers["noise"] = _draw_noise
    for name, draw in drawers.items():
        from matplotlib.figure import Figure  # noqa: PLC0415 - slow to import

        side = max(_LEAST_INCHES, _INCH_BY_LABEL * len(evaluation.labels)) if name == "confusion" else _LEAST_INCHES
        figure = Figure(figsize=(side * 1.4, side), layout="constrained")
        draw(evaluation, figure.subplots())
        figure.savefig(folder / f"{name}.png", dpi=120)
    return {name: f"{name}.png" for name in drawers}


def _draw_subsets(evaluation: Evaluation, axes: Axes) -> None:
    names = ["+".join(result.modalities) for result in evaluation.by_subset]
    places = np.arange(len(names))
    axes.barh(
        places, [abs(quality(result.scores)) for result in evaluation.by_subset], color="tab:blue", label="measured"
    )
    known = [
        (index, result.ceiling)
        for index, result in zip(places, evaluation.by_subset, strict=True)
        if result.ceiling is not None
    ]
    if known:
        axes.scatter(
            [ceiling for _, ceiling in known], [index for index, _ in known], marker="|", s=250, color="black",
            label="best possible",
        )  # fmt: skip
        axes.legend(loc="upper right")
    axes.set_yticks(places, names)
    axes.invert_yaxis()
    if isinstance(evaluation.fused, Classification):
        axes.set_xlim(0, 1.05)
        axes.set_xlabel("accuracy")
    else:
        axes.set_xlabel("score")


def _draw_confusion(evaluation: Evaluation, axes: Axes) -> None:
    if not isinstance(evaluation.fused, Classification):
        return
    counts = np.array(evaluation.fused.confusion, float)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    image = axes.imshow(shares, vmin=0, vmax=1, cmap="Blues")
    places = range(len(evaluation.labels))
    if len(evaluation.labels) <= _MOST_NUMBERED:
        for row in places:
            for column in places:
                shade = "white" if shares[row, column] > 0.5 else "black"  # noqa: PLR2004 - half
                axes.text(column, row, f"{counts[row, column]:.0f}", ha="center", va="center", color=shade, fontsize=7)
    axes.set_xticks(places, evaluation.labels, rotation=90)
    axes.set_yticks(places, evaluation.labels)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    if axes.figure is not None:
        axes.figure.colorbar(image, ax=axes, label="share of the true label")


def _draw_confidence(evaluation: Evaluation, axes: Axes) -> None:
    if evaluation.confidence is None:
        return
    axes.plot([0, 1], [0, 1], color="grey", linewidth=1)
    for name, result in (("unscaled", evaluation.confidence.before), ("after scaling", evaluation.confidence.after)):
        label = f"{name}: ECE {result.ece:.3f}"
        axes.plot([each.confidence for each in result.bins], [each.accuracy for each in result.bins], "o-", label=label)
    axes.set_xlabel("confidence")
    axes.set_ylabel("accuracy")
    axes.legend(loc="upper left")


def _draw_noise(evaluation: Evaluation, axes: Axes) -> None:
    for number, curve in enumerate(evaluation.noise):
        colour = f"C{number}"
        axes.plot(curve.levels, curve.fused, "o-", color=colour, label=f"{curve.modality}, fused")
        axes.plot(curve.levels, curve.late, "--", color=colour, label=f"{curve.modality}, late fusion")
    axes.set_ylim(0, 1)
    axes.set_xlabel("noise level")
    axes.set_ylabel("accuracy")
    axes.legend(fontsize=7)
