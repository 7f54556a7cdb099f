"""Copy a trained model into the package: `python -m tools.ship_model TRAINED [REPORT …]`.

TRAINED is the output of `triptych train --data BENCHMARK --storage fp16`. The first REPORT is the output of `triptych
evaluate` for it; further reports are of other seeds and give mean and deviation. The weights are copied unchanged. The
test results and the limits of the model are added to the card, and absolute paths are removed. The output of `triptych
stamps` already contains its results, and needs no report.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from triptych.models.checkpoints.card import Card, read_card
from triptych.models.checkpoints.paths import CARD_SUFFIX, checkpoint_files
from triptych.models.shipped import FOLDER, measured_accuracy
from triptych.schemas.errors import UsageError

_LIMITS = (
    "Made of generated data, to show and to test fusion: it knows nothing of real faces, voices or films.",
    "It names one of its labels whatever it is shown, and its confidence means nothing for other windows than these.",
)
_DIGITS = 4


def shipped_card(card: Card, reports: Sequence[Mapping[str, Any]]) -> Card:
    """Return the card with the results of the reports of `triptych evaluate`.

    Raises:
        UsageError: the first report is of another model.
    """
    if card.sha256() not in reports[0]["about"]["model"]:
        raise UsageError(f"expected a report of the model {card.sha256()}, got one of {reports[0]['about']['model']}")
    further = tuple(
        f"With components of a kind never seen in training ({split['split']}) its accuracy is {split['accuracy']:.3f}."
        for split in reports[0]["elsewhere"]
    )
    metrics = {**card.metrics, "test": _measured(reports[0])}
    if len(reports) > 1:
        scores = [report["fused"]["accuracy"] for report in reports]
        metrics["seeds"] = {
            "accuracy": _rounded(scores),
            "mean": round(statistics.fmean(scores), _DIGITS),
            "deviation": round(statistics.stdev(scores), _DIGITS),
        }
    return card.model_copy(update={"metrics": metrics, "limits": (*_LIMITS, *further)})


def without_folders(card: Card) -> Card:
    """Return the card without absolute paths of the training machine: only the last part of each is kept."""
    training = dict(card.training)
    if "command" in training:
        training["command"] = " ".join(_name(word) for word in training["command"].split(" "))
    if "start" in training.get("config", {}):
        training["config"] = training["config"] | {"start": _name(training["config"]["start"])}
    return card.model_copy(update={"training": training})


def _name(word: str) -> str:
    return Path(word).name if Path(word).is_absolute() else word


def _measured(report: Mapping[str, Any]) -> dict[str, Any]:
    by_subset = {"+".join(subset["modalities"]): subset for subset in report["by_subset"]}
    accuracies = {name: round(subset["scores"]["accuracy"], _DIGITS) for name, subset in by_subset.items()}
    after = report["confidence"]["after"]
    return {
        "examples": report["fused"]["count"],
        "accuracy": round(report["fused"]["accuracy"], _DIGITS),
        "standard_error": round(report["fused"]["standard_error"], _DIGITS),
        "alone": {
            name: round(subset["scores"]["accuracy"], _DIGITS) for name, subset in by_subset.items() if "+" not in name
        },
        "by_subset": accuracies,
        "ceilings": {name: round(subset["ceiling"], _DIGITS) for name, subset in by_subset.items()},
        "calibration_error": _rounded([after["ece"], after["low"], after["high"]]),
        "elsewhere": {split["split"]: round(split["accuracy"], _DIGITS) for split in report["elsewhere"]},
    }


def _rounded(numbers: Sequence[float]) -> list[float]:
    return [round(number, _DIGITS) for number in numbers]


def main(arguments: Sequence[str]) -> None:
    """Copy weights and card into the folder of shipped models, under the name of the model."""
    if not arguments:
        raise UsageError("expected: python -m tools.ship_model TRAINED [REPORT …]")
    weights_path, card_path = checkpoint_files(Path(arguments[0]))
    reports = [json.loads((Path(folder) / "report.json").read_text(encoding="utf-8")) for folder in arguments[1:]]
    card = read_card(card_path)
    if reports:
        card = shipped_card(card, reports)
    card = without_folders(card)
    into = FOLDER / card.name
    into.mkdir(parents=True, exist_ok=True)
    (into / weights_path.name).write_bytes(weights_path.read_bytes())
    (into / f"model{CARD_SUFFIX}").write_text(card.model_dump_json(indent=2) + "\n", encoding="utf-8")
    sys.stdout.write(f"{into}: {measured_accuracy(card)}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
