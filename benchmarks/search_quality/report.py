"""Tables and a plot of what was measured."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.search_quality.measuring import MEASURES, MODES, MeasuredQuery, mean_of

_NAMES = {"recall": "recall@10", "ndcg": "nDCG@10", "reciprocal_rank": "MRR"}
_BASES = ("words", "meaning")


def groups_of(measured: Sequence[MeasuredQuery]) -> dict[str, list[MeasuredQuery]]:
    """Return the queries by kind, then by language, then all."""
    kinds = sorted({one.query.kind for one in measured})
    languages = sorted({one.query.language for one in measured})
    groups = {kind: [one for one in measured if one.query.kind == kind] for kind in kinds}
    groups |= {f"all, {name}": [one for one in measured if one.query.language == name] for name in languages}
    return {**groups, "all": list(measured)}


def tables(measured: Sequence[MeasuredQuery]) -> Iterator[str]:
    """Yield the lines of a table of each measure in Markdown."""
    for measure in MEASURES:
        yield f"| {_NAMES[measure]} | queries | words only | meaning only | fused | chance | fused less the better |"
        yield "|---|---|---|---|---|---|---|"
        for name, group in groups_of(measured).items():
            cells = [str(mean_of(group, mode, measure)) for mode in MODES[:-1]]
            chance = f"{mean_of(group, 'chance', measure).mean:.2f}"
            better = max(_BASES, key=lambda mode: mean_of(group, mode, measure).mean)
            difference = mean_of(group, "fused", measure, minus=better)
            gain = f"{difference.mean:+.2f} ({difference.low:+.2f} to {difference.high:+.2f})"
            yield f"| {name} | {len(group)} | {' | '.join(cells)} | {chance} | {gain} |"
        yield ""


def as_document(measured: Sequence[MeasuredQuery]) -> dict[str, Any]:
    """Return the figures of the groups and of each query as JSON values."""
    return {
        "groups": {
            name: {mode: {measure: asdict(mean_of(group, mode, measure)) for measure in MEASURES} for mode in MODES}
            | {"queries": len(group)}
            for name, group in groups_of(measured).items()
        },
        "queries": [
            {"kind": one.query.kind, "text": one.query.text}
            | {mode: asdict(measures) for mode, measures in one.measures.items()}
            for one in measured
        ],
    }


def plot(parts: dict[str, Sequence[MeasuredQuery]], file: Path) -> None:
    """Write a plot of nDCG@10 by kind, with a panel for each part of the queries."""
    import matplotlib as mpl  # noqa: PLC0415 - heavy

    mpl.use("Agg")
    import matplotlib.pyplot as plt  # noqa: PLC0415

    figure, axes = plt.subplots(1, len(parts), figsize=(5.2 * len(parts), 4.2), sharey=True, squeeze=False)
    for axis, (part, measured) in zip(axes[0], parts.items(), strict=True):
        groups = {name: group for name, group in groups_of(measured).items() if not name.startswith("all, ")}
        for place, mode in enumerate(MODES):
            means = [mean_of(group, mode, "ndcg") for group in groups.values()]
            at = [number + 0.2 * (place - 1.5) for number in range(len(means))]
            errors = [[one.mean - one.low for one in means], [one.high - one.mean for one in means]]
            heights = [one.mean for one in means]
            axis.bar(at, heights, 0.2, yerr=None if mode == "chance" else errors, capsize=1.5, label=mode)
        axis.set_xticks(range(len(groups)), groups, rotation=35, ha="right")
        axis.set_title(f"{part} ({len(measured)} queries)")
        axis.set_ylim(0, 1)
    axes[0][0].set_ylabel("nDCG@10")
    figure.legend(*axes[0][0].get_legend_handles_labels(), loc="upper center", ncols=len(MODES), frameon=False)
    figure.tight_layout(rect=(0, 0, 1, 0.94))
    figure.savefig(file, dpi=110)
    plt.close(figure)
