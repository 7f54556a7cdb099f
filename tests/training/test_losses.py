"""Loss terms, modality dropout, learning rate schedules and calibration (`losses`, `schedule`, `fit_temperature`)."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from triptych.models.network.parts import Encoded
from triptych.training.fit_temperature import fit_temperature
from triptych.training.losses import drop_modalities, info_nce
from triptych.training.schedule import rate_at

ROWS = 4_000


def encoded(*present: bool) -> dict[str, Encoded]:
    """Return tokens with the marked rows present."""
    return {
        name: Encoded(torch.zeros(ROWS, 1, 2), torch.full((ROWS, 1), fill_value=there))
        for name, there in zip(("audio", "text", "video"), present, strict=True)
    }


def test_modality_dropout_keeps_at_least_one_modality() -> None:
    """Each is dropped with the requested probability, independently."""
    kept = drop_modalities(encoded(True, True, True), 0.3, torch.Generator().manual_seed(1))  # noqa: FBT003
    there = torch.stack([one.present for one in kept.values()], 1)

    assert there.any(1).all()
    # All three fall together in 2.7 % of the rows, and one of them then stays.
    assert there.double().mean(0).tolist() == pytest.approx([0.7 + 0.027 / 3] * 3, abs=0.025)
    assert {tuple(row) for row in there.tolist()} == {
        (a, b, c) for a in (True, False) for b in (True, False) for c in (True, False) if a or b or c
    }


def test_modality_dropout_ignores_missing_modalities() -> None:
    """With one of two missing, the other always stays. Missing modalities do not appear."""
    kept = drop_modalities(encoded(False, True, False), 0.9, torch.Generator().manual_seed(1))  # noqa: FBT003

    assert kept["text"].present.all()
    assert not kept["audio"].present.any()
    assert not kept["video"].present.any()


def test_info_nce_is_small_for_matching_modalities() -> None:
    """Small for equal vectors, large for those of other windows. Windows with one modality do not count."""
    places = functional.normalize(torch.randn(6, 8, generator=torch.Generator().manual_seed(1)), dim=-1)
    all_there = {name: Encoded(torch.zeros(6, 1, 1), torch.ones(6, 1).bool()) for name in ("text", "video")}
    good = info_nce({"text": places, "video": places}, all_there)
    bad = info_nce({"text": places, "video": places.roll(1, 0)}, all_there)

    assert float(good) < 0.1
    assert float(bad) > 1
    one = {"text": all_there["text"], "video": Encoded(torch.zeros(6, 1, 1), torch.zeros(6, 1).bool())}
    assert float(info_nce({"text": places, "video": places.roll(1, 0)}, one)) == 0


def test_learning_rates_rise_and_fall() -> None:
    """One-cycle rises from a small rate and falls to almost zero; cosine only falls."""
    cycle = [rate_at("one-cycle", step, 100) for step in range(100)]
    cosine = [rate_at("cosine", step, 100) for step in range(100)]

    assert cycle[0] == pytest.approx(0.04)
    assert max(cycle) == cycle[20] == pytest.approx(1)
    assert cycle[:21] == sorted(cycle[:21])
    assert cycle[20:] == sorted(cycle[20:], reverse=True)
    assert cosine == sorted(cosine, reverse=True)
    assert cosine[0] == 1
    assert cycle[-1] == cosine[-1] == pytest.approx(1e-3)
    assert rate_at("one-cycle", 0, 1) > 0


@pytest.mark.parametrize("true_temperature", [0.5, 1.0, 3.0])
def test_the_fitted_temperature_is_the_true_one(true_temperature: float) -> None:
    """For labels drawn from the probabilities of the scaled logits."""
    generator = torch.Generator().manual_seed(2)
    logits = 2 * torch.randn(20_000, 4, generator=generator)
    labels = torch.multinomial(logits.softmax(-1), 1, generator=generator).squeeze(-1)
    found = fit_temperature(true_temperature * logits, labels, "multiclass")

    assert found == pytest.approx(true_temperature, rel=0.04)
    holds = torch.bernoulli(logits.sigmoid(), generator=generator)
    assert fit_temperature(true_temperature * logits, holds, "multilabel") == pytest.approx(true_temperature, rel=0.04)


def test_a_regression_has_no_temperature() -> None:
    """Nor has an empty set."""
    assert fit_temperature(torch.zeros(3), torch.zeros(3), "regression") == 1
    assert math.isclose(fit_temperature(torch.zeros(0, 2), torch.zeros(0).long(), "multiclass"), 1)
