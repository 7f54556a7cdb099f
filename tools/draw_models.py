"""Plot the evaluations of several models side by side: `python -m tools.draw_models IMAGE REPORT [REPORT …]`.

Each REPORT is a folder that `triptych evaluate` wrote. The upper plots show the accuracy for each subset of modalities
and its ceiling, the lower ones the reliability diagram.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from triptych.schemas.errors import UsageError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_INITIALS = {"video": "V", "audio": "A", "text": "T"}


def draw(reports: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Write the plots to an image file."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - slow to import

    figure = Figure(figsize=(4 * len(reports), 6.5), layout="constrained")
    for (above, below), report in zip(figure.subplots(2, len(reports), squeeze=False).T, reports, strict=True):
        _draw_subsets(report, above)
        _draw_confidence(report, below)
    figure.savefig(path, dpi=100)


def _draw_subsets(report: Mapping[str, Any], axes: Axes) -> None:
    names = ["+".join(_INITIALS[name] for name in subset["modalities"]) for subset in report["by_subset"]]
    positions = range(len(names))
    axes.bar(
        positions, [subset["scores"]["accuracy"] for subset in report["by_subset"]], color="tab:blue", label="measured"
    )
    ceilings = [subset["ceiling"] for subset in report["by_subset"]]
    axes.scatter(positions, ceilings, marker="_", s=300, color="black", label="best possible")
    axes.set_xticks(positions, names)
    axes.set_ylim(0, 1.05)
    axes.set_ylabel("accuracy")
    axes.set_title(report["data"])
    axes.legend(loc="upper left", fontsize="small")


def _draw_confidence(report: Mapping[str, Any], axes: Axes) -> None:
    after = report["confidence"]["after"]
    axes.plot([0, 1], [0, 1], color="grey", linestyle="--", label="perfectly calibrated")
    bins = after["bins"]
    axes.plot(
        [one["confidence"] for one in bins], [one["accuracy"] for one in bins], marker="o", color="tab:blue",
        label=f"measured: calibration error {after['ece']:.3f}",
    )  # fmt: skip
    axes.set_xlabel("confidence, scaled")
    axes.set_ylabel("accuracy")
    axes.legend(loc="upper left", fontsize="small")


def main(arguments: Sequence[str]) -> None:
    """Read the reports and draw them."""
    if len(arguments) < 2:  # noqa: PLR2004 - an image and a report
        raise UsageError("expected: python -m tools.draw_models IMAGE REPORT [REPORT …]")
    draw(
        [json.loads((Path(folder) / "report.json").read_text(encoding="utf-8")) for folder in arguments[1:]],
        Path(arguments[0]),
    )


if __name__ == "__main__":
    main(sys.argv[1:])
