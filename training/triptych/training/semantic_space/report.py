"""The report of the cross-validation of the semantic space: numbers and a plot."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Final

from triptych.training.semantic_space.retrieval import DEPTHS, SpaceValidation

SPACE_PLOT: Final = "space.png"
SPACE_NUMBERS: Final = "space.json"


def write_space_report(found: SpaceValidation, folder: Path) -> Path:
    """Write numbers and plot into a folder, and return the path of the plot."""
    (folder / SPACE_NUMBERS).write_text(json.dumps(asdict(found), indent=1) + "\n", encoding="utf-8")
    _draw(found, folder / SPACE_PLOT)
    return folder / SPACE_PLOT


def summarise_space(found: SpaceValidation) -> Iterator[str]:
    """Yield a row of a Markdown table for each language."""
    yield "| captions | queries | " + " | ".join(f"R@{depth}" for depth in DEPTHS) + " |"
    yield "| --- | --- " + "| --- " * len(DEPTHS) + "|"
    for own in found.by_language:
        cells = [f"{recall:.3f} ± {spread:.3f}" for recall, spread in zip(own.recall, own.deviation, strict=True)]
        yield f"| {own.language} | {own.queries} | " + " | ".join(cells) + " |"
    yield f"| random order | | {' | '.join(f'{recall:.3f}' for recall in found.chance)} |"


def _draw(found: SpaceValidation, path: Path) -> None:
    import matplotlib as mpl  # noqa: PLC0415 - slow to import

    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415

    languages = sorted(found.by_language, key=lambda own: -own.recall[-1])
    figure, axes = plt.subplots(figsize=(8, 3.6), layout="constrained")
    for index, depth in enumerate(DEPTHS):
        left = [place + (index - 1) * 0.27 for place in range(len(languages))]
        axes.bar(
            left,
            [own.recall[index] for own in languages],
            0.25,
            yerr=[own.deviation[index] for own in languages],
            label=f"R@{depth}",
        )
    axes.axhline(found.chance[-1], color="grey", linestyle="--", linewidth=1, label=f"random order, R@{DEPTHS[-1]}")
    axes.set_xticks(range(len(languages)), [own.language for own in languages])
    axes.set_ylim(0, 1)
    axes.set_ylabel("recall")
    axes.set_title(f"Captions of held-out motifs find their pictures among {found.pool:.0f}")
    axes.legend(ncols=4, fontsize="small")
    figure.savefig(path, dpi=110)
    plt.close(figure)
