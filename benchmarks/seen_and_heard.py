"""What results say of clips, window by window: `python -m benchmarks.seen_and_heard [FILE …]`.

Each window of 2 s of each clip is prepared from the records that a producer sends, and predicted by the model `base`,
without a detector. It prints a row for each window: the best label of the frames, whether a line would show it, the
sounds, the flags of technical quality and the loudness. What is right was judged by people: docs/seen-and-heard.md.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from triptych.models.build import ModelChoice, build_model
from triptych.models.prediction import WindowPrediction
from triptych.schemas.perception.shown import shown_labels
from triptych.schemas.results import LabelScore, Observations, Quality
from triptych.settings.loading import load
from triptych.training.data.clip_records import clip_records
from triptych.training.data.window_preparation import close_windows
from triptych.units import NS_PER_S
from triptych.worker.media.preparer import Preparer
from triptych.worker.media.quality import measure_quality
from triptych.worker.publishing.quality_flags import quality_flags
from triptych.worker.wiring import align_config

SAMPLES: Final = Path(__file__).parents[1] / "app" / "triptych" / "samples"
START_NS: Final = 1_767_225_600 * NS_PER_S
WINDOW_NS: Final = 2 * NS_PER_S
MEMORY: Final = 8
"""How many windows before a window its flags depend on."""


def main(args: Sequence[str]) -> None:
    """Print a table for each clip."""
    paths = [Path(arg) for arg in args] or sorted(p for p in SAMPLES.iterdir() if p.suffix in {".mp4", ".mkv", ".ts"})
    choice = ModelChoice("base", frames=4, window_ns=WINDOW_NS, device="cpu", threads=1)
    model = build_model(choice)
    config = align_config(load(environ={}))
    preparer = Preparer(model.spec)
    for path in paths:
        before: list[Quality] = []
        sys.stdout.write(
            f"\n{path.name}\n\n| s | best label | shown | heard | flags | LUFS |\n|---|---|---|---|---|---|\n"
        )
        for number, closed in enumerate(close_windows(clip_records(path, START_NS), config)):
            window = preparer.prepare(closed).window
            measured = measure_quality(window) or Quality()
            flags = quality_flags(measured, before[-MEMORY:])
            before.append(measured.model_copy(update={"flags": flags}))
            (prediction,) = model.predict([window])
            cells = " | ".join(_cells(prediction, flags))
            sys.stdout.write(f"| {number * WINDOW_NS // NS_PER_S} | {cells} |\n")


def _cells(prediction: WindowPrediction, flags: Sequence[str]) -> Iterator[str]:
    visual = tuple(LabelScore(label=seen.label, score=seen.score) for seen in prediction.visual)
    yield _scores(LabelScore(label=seen.label.split(",")[0], score=seen.score) for seen in visual[:1])
    yield "-" if "black" in flags else _scores(shown_labels(Observations(visual=visual)))
    yield _scores(LabelScore(label=heard.label, score=heard.score) for heard in prediction.sound)
    yield ", ".join(flags) or "-"
    yield "-" if prediction.loudness_lufs is None else f"{prediction.loudness_lufs:.0f}"


def _scores(scored: Iterator[LabelScore] | Sequence[LabelScore]) -> str:
    return ", ".join(f"{each.label} {each.score:.2f}" for each in scored) or "-"


if __name__ == "__main__":
    main(sys.argv[1:])
