"""What detection costs: CPU time of a window with and without it, on clips: `python -m benchmarks.detections [FILE …]`.

Each window of 2 s of each clip is prepared from the records that a producer sends and predicted alone, on one thread,
by the model `base` with each number of pictures for detectors. The rounds of the variants alternate.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from triptych.models.build import ModelChoice, build_model
from triptych.models.model import Model
from triptych.settings.loading import load
from triptych.training.data.clip_records import clip_records
from triptych.training.data.window_preparation import close_windows
from triptych.units import NS_PER_S
from triptych.worker.alignment.decisions import ClosedWindow
from triptych.worker.media.preparer import Preparer
from triptych.worker.wiring import align_config

SAMPLES: Final = Path(__file__).parents[1] / "app" / "triptych" / "samples"
START_NS: Final = 1_767_225_600 * NS_PER_S
WINDOW_NS: Final = 2 * NS_PER_S
PICTURES: Final = (0, 1, 2, 4)
ROUNDS: Final = 5


def main(args: Sequence[str]) -> None:
    """Measure, and print a line for each number of pictures."""
    paths = [Path(arg) for arg in args] or sorted(p for p in SAMPLES.iterdir() if p.suffix in {".mp4", ".mkv", ".ts"})
    config = align_config(load(environ={}))
    windows = [window for path in paths for window in close_windows(clip_records(path, START_NS), config)]
    models = {number: _model(number) for number in PICTURES}
    took_ms: dict[int, list[float]] = defaultdict(list)
    for _ in range(ROUNDS):
        for number, model in models.items():
            took_ms[number].append(_cpu_ms(model, windows))
    median = {number: statistics.median(times) for number, times in took_ms.items()}
    lines = [f"{len(windows)} windows of {len(paths)} clips, CPU ms a window, median of {ROUNDS} rounds (range)"]
    for number, times in took_ms.items():
        took, ratio = f"{median[number]:6.1f} ({min(times):.1f} to {max(times):.1f})", median[number] / median[0]
        lines.append(f"{number} pictures: {took}, {ratio:.2f} times that of none")
    sys.stdout.write("\n".join(lines) + "\n")


def _model(pictures: int) -> Model:
    choice = ModelChoice(
        "base", frames=4, window_ns=WINDOW_NS, device="cpu", threads=1, detector="auto", pictures=pictures
    )
    model = build_model(choice)
    model.warm()
    return model


def _cpu_ms(model: Model, windows: Sequence[ClosedWindow]) -> float:
    """Return the CPU time of preparing and predicting one window, in milliseconds."""
    preparer = Preparer(model.spec, measures_quality=True)
    began_s = time.process_time()
    for window in windows:
        model.predict([preparer.prepare(window).window])
    return (time.process_time() - began_s) / len(windows) * 1e3


if __name__ == "__main__":
    main(sys.argv[1:])
