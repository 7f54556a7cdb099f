"""Say how often the share names the modality that decided: `python -m tools.named_shares CHECKPOINT [COUNT]`.

On the test examples of the benchmark `decider`, in each of which one modality alone tells the answer. Counted over all,
and over those that the model gets right: where it does not know, no modality has decided.
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


def named(model: Model, examples: Sequence[Example], labels: Sequence[str]) -> list[tuple[str, bool, bool]]:
    """Return of each example who decided it, whether its share is the largest, and whether the answer is right."""
    found = []
    for example, said in zip(examples, model.predict([example.window for example in examples]), strict=True):
        shares, decider = said.shares or {}, _NAMES[example.parts["decider"]]
        best = next(iter((said.predictions or {}).values()))[0].label
        right = best == labels[int(example.target)]  # type: ignore[arg-type]
        found.append((decider, max(shares, key=lambda name: shares[name]) == decider, right))
    return found


def _report(heading: str, hits: Sequence[bool]) -> str:
    return f"{heading}: {sum(hits)} of {len(hits)} ({sum(hits) / max(1, len(hits)):.3f})\n"


def main(arguments: Sequence[str]) -> None:
    """Measure a checkpoint and write what was found."""
    checkpoint = load_checkpoint(Path(arguments[0]), weights_folder=cache_folder())
    data = open_benchmark("decider")
    count = int(arguments[1]) if len(arguments) > 1 else _COUNT
    model = build_trained_model(checkpoint, RunOptions(torch.device("cpu"), WINDOW_NS, max_batch=8))
    found = named(model, data.examples("test", range(count)), data.task.labels)
    sys.stdout.write(_report("right answers", [right for _, _, right in found]))
    sys.stdout.write(_report("named", [hit for _, hit, _ in found]))
    sys.stdout.write(_report("named, of the right answers", [hit for _, hit, right in found if right]))
    for name in _NAMES:
        sys.stdout.write(_report(f"named, {name} deciding", [hit for decider, hit, _ in found if decider == name]))


if __name__ == "__main__":
    main(sys.argv[1:])
