"""Plots of samples."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import matplotlib as mpl

from benchmarks.bounds.watch import Sample

_PANELS: Final = (
    ("rss_mb", "resident memory, MB"),
    ("held_mb", "buffered media, MB"),
    ("threads", "threads"),
    ("files", "open files"),
    ("redis_keys", "Redis keys"),
    ("redis_mb", "Redis memory, MB"),
    ("lag_s", "lag, s"),
)


def plot(samples: Sequence[Sample], to: Path, *, title: str, unit: str) -> None:
    """Plot every quantity over the progress of the run."""
    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415 - after the choice of the backend

    figure, axes = plt.subplots(len(_PANELS), 1, sharex=True, figsize=(8, 9), layout="constrained")
    for axis, (field, label) in zip(axes, _PANELS, strict=True):
        axis.plot([sample.progress for sample in samples], [getattr(sample, field) for sample in samples], linewidth=1)
        axis.set_ylim(bottom=0)
        axis.set_ylabel(label, fontsize=8)
        axis.grid(alpha=0.3)
    axes[-1].set_xlabel(unit)
    figure.suptitle(title)
    figure.savefig(to, dpi=100)
    plt.close(figure)
