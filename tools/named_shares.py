"""Count how often the deciding modality has the largest share: `python -m tools.named_shares CHECKPOINT [COUNT]`.

The examples are from the test split of the benchmark `decider`, in which a single modality determines the label. The
count is over all examples, and over those that are predicted correctly.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from triptych.models.checkpoints.checkpoint import load_checkpoint
from triptych.models.execution.runtime import RunOptions
from triptych.models.model import Model
from triptych.models.pretrained.download.cache import cache_folder
from triptych.models.trained import build_trained_model
from triptych.training.data.benchmarks.benchmark import WINDOW_NS, open_benchmark
from triptych.training.data.example import Example

_NAMES = ("video", "audio", "subtitles")
_COUNT = 1_000


def check_shares(model: Model, examples: Sequence[Example], labels: Sequence[str]) -> list[tuple[str, bool, bool]]:
    """Return per example the deciding modality, whether its share is the largest, and whether the label is right."""
    found = []
    for example, prediction in zip(examples, model.predict([example.window for example in examples]), strict=True):
        shares, decider = prediction.shares or {}, _NAMES[example.parts["decider"]]
        best = next(iter((prediction.predictions or {}).values()))[0].label
        right = best == labels[int(example.target)]  # type: ignore[arg-type]
        found.append((decider, max(shares, key=lambda name: shares[name]) == decider, right))
    return found


def _report(heading: str, hits: Sequence[bool]) -> str:
    return f"{heading}: {sum(hits)} of {len(hits)} ({sum(hits) / max(1, len(hits)):.3f})\n"


def main(arguments: Sequence[str]) -> None:
    """Evaluate a checkpoint and print the counts."""
    checkpoint = load_checkpoint(Path(arguments[0]), weights_folder=cache_folder())
    data = open_benchmark("decider")
    count = int(arguments[1]) if len(arguments) > 1 else _COUNT
    model = build_trained_model(checkpoint, RunOptions(torch.device("cpu"), WINDOW_NS, max_batch=8))
    found = check_shares(model, data.examples("test", range(count)), data.task.labels)
    sys.stdout.write(_report("correct", [right for _, _, right in found]))
    sys.stdout.write(_report("named", [hit for _, hit, _ in found]))
    sys.stdout.write(_report("named, of the correct ones", [hit for _, hit, right in found if right]))
    for name in _NAMES:
        sys.stdout.write(_report(f"named, {name} deciding", [hit for decider, hit, _ in found if decider == name]))


if __name__ == "__main__":
    main(sys.argv[1:])
