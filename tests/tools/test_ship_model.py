"""The tool that copies a model with its measured results into the package."""

from __future__ import annotations

from typing import Any

import pytest

from tools.ship_model import shipped_card, without_folders
from triptych.models.checkpoints.card import Architecture, Card, EncoderCard, FusionCard, HeadCard, InputCard
from triptych.schemas.errors import UsageError


def card() -> Card:
    """Return the card of a model with three labels."""
    return Card(
        name="sentiment",
        input=InputCard(frames=1, height=16, width=16, sample_rate_hz=16_000, text_tokens=8, window_ns=10**9),
        architecture=Architecture(
            width=16,
            encoders={"text": EncoderCard(kind="small")},
            fusion=FusionCard(name="late"),
            heads=(HeadCard(name="target", kind="multiclass", labels=("sad", "plain", "glad")),),
        ),
        metrics={"validation": {"score": 0.9}},
        weights_sha256="0" * 64,
    )


def report(sha256: str, accuracy: float) -> dict[str, Any]:
    """Return the parts of an evaluation report that the tool reads."""

    def subset(*modalities: str, accuracy: float, ceiling: float) -> dict[str, Any]:
        return {"modalities": modalities, "scores": {"accuracy": accuracy}, "ceiling": ceiling}

    return {
        "about": {"model": f"sentiment 1, sha256 {sha256}"},
        "fused": {"accuracy": accuracy, "standard_error": 0.01, "count": 500},
        "by_subset": [
            subset("video", accuracy=0.5, ceiling=0.6),
            subset("video", "text", accuracy=accuracy, ceiling=1),
        ],
        "confidence": {"after": {"ece": 0.012345, "low": 0.0, "high": 0.02}},
        "elsewhere": [{"split": "test-glyphs", "accuracy": 0.7, "standard_error": 0.02}],
    }


def test_the_card_contains_results_and_limits() -> None:
    """The card contains the model's own results, and mean and deviation over further seeds."""
    own = card()
    shipped = shipped_card(own, [report(own.sha256(), 0.9), report("of another seed", 0.8)])
    assert shipped.metrics["validation"] == {"score": 0.9}
    assert shipped.metrics["test"] == {
        "examples": 500,
        "accuracy": 0.9,
        "standard_error": 0.01,
        "alone": {"video": 0.5},
        "by_subset": {"video": 0.5, "video+text": 0.9},
        "ceilings": {"video": 0.6, "video+text": 1},
        "calibration_error": [0.0123, 0.0, 0.02],
        "elsewhere": {"test-glyphs": 0.7},
    }
    assert shipped.metrics["seeds"] == {"accuracy": [0.9, 0.8], "mean": 0.85, "deviation": 0.0707}
    assert any("test-glyphs" in limit and "0.700" in limit for limit in shipped.limits)
    assert shipped.sha256() == own.sha256()


def test_a_report_of_another_model_is_rejected() -> None:
    """The results would be on the wrong card."""
    with pytest.raises(UsageError, match="got one of sentiment 1, sha256 other"):
        shipped_card(card(), [report("other", 0.9)])


def test_the_card_contains_no_absolute_paths() -> None:
    """Relative paths are kept."""
    training = {
        "command": "triptych train --from /home/me/parts --out out/model --rate 1e-3",
        "config": {"start": "/home/me/parts"},
    }
    shipped = without_folders(card().model_copy(update={"training": training}))

    assert shipped.training["command"] == "triptych train --from parts --out out/model --rate 1e-3"
    assert shipped.training["config"] == {"start": "parts"}
