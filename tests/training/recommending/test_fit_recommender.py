"""Training on generated users with known taste: the fused ranking is better than its parts."""

from __future__ import annotations

import json
from pathlib import Path

import implicit.utils
import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from benchmarks import recommend
from triptych.consumers.recommending.collaborative import AlsFactors
from triptych.consumers.recommending.ranking_head import shipped_head
from triptych.schemas.errors import UsageError
from triptych.training.recommending.fit_factors import FactorConfig, fit_factors
from triptych.training.recommending.fit_recommender import fit_recommender
from triptych.training.recommending.ranking_metrics import mean_interval, ndcg_at, recall_at
from triptych.training.recommending.taste_data import TasteData, UserEvents


def test_the_fused_ranking_is_better_than_each_part(tmp_path: Path) -> None:
    """On a small run of the benchmark. The true taste is the ceiling."""
    file = tmp_path / "figures.json"
    assert recommend.main(["--users", "200", "--items", "200", "--small", "--json", str(file)]) == 0
    figures = json.loads(file.read_text())["generated"]
    ndcg = {name: values["nDCG@10"][0] for name, values in figures["methods"].items()}
    parts = [name for name in ndcg if "alone" in name or "popularity" in name]
    assert len(parts) == 6
    assert all(figures["nDCG@10, fused less"][name][1] > 0 for name in parts)  # the lower ends of the intervals
    assert ndcg["true taste (ceiling)"] > ndcg["fused"]
    loss = figures["head, validation loss"]
    assert loss[1] < loss[0]


def test_few_users_keep_the_shipped_head() -> None:
    """And few events give no factors; without any, there is nothing to learn from."""
    events = UserEvents(np.array([0, 1], np.int32), np.ones(2, np.float32), np.array([1, 2], np.int64))
    fitted = fit_recommender(TasteData([events], np.eye(2, dtype=np.float32)))
    assert fitted.head.lists == 0
    np.testing.assert_array_equal(fitted.head.head.linear, shipped_head().linear)
    assert fitted.items.known.als is None
    nothing = UserEvents(np.zeros(0, np.int32), np.zeros(0, np.float32), np.zeros(0, np.int64))
    with pytest.raises(UsageError, match="expected interactions"):
        fit_recommender(TasteData([nothing], np.eye(2, dtype=np.float32)))


def test_a_machine_with_several_cores_gets_no_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of BLAS with several threads, neither in training nor when a trained model is read."""
    monkeypatch.setattr(implicit.utils, "_checked_blas_config", False)
    items = np.arange(10, dtype=np.int32)
    users = [
        UserEvents(items[number:], np.ones(10 - number, np.float32), np.arange(10 - number)) for number in range(9)
    ]
    with threadpool_limits(2, "blas"):
        known = fit_factors(TasteData(users, np.eye(10, dtype=np.float32)), FactorConfig(factors=2)).known
        assert known.als is not None
        AlsFactors(known.als.factors, regularization=1.0, alpha=1.0)


def test_measures_of_rankings() -> None:
    """By hand: one of two relevant items at the second place of two."""
    assert ndcg_at(2, [5, 7], {7, 9}) == pytest.approx((1 / np.log2(3)) / (1 + 1 / np.log2(3)))
    assert ndcg_at(1, [7], {7, 9}) == 1
    assert recall_at(2, [5, 7], {7, 9}) == 0.5
    assert (ndcg_at(2, [5], set()), recall_at(2, [5], set())) == (0, 0)
    interval = mean_interval([0.0, 1.0] * 50)
    assert interval.mean == 0.5
    assert 0.35 < interval.low < 0.45
    assert 0.55 < interval.high < 0.65
