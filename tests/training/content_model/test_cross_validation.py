"""Cross-validation finds the structure of tokens with known truth, and none where there is none."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch.nn import functional

from triptych.models.network.collate import WindowBatch
from triptych.models.network.fused import FusedModel
from triptych.models.network.fusions.registry import build_fusion
from triptych.models.network.fusions.shape import FusionShape
from triptych.models.network.heads import HeadReadout, LogitsHead
from triptych.models.network.parts import Encoded, Encoder, Head
from triptych.models.network.token_space import TokenSpace
from triptych.training.content_model import cross_validation, report
from triptych.training.content_model.cross_validation import cross_validate, split_folds, train_served_model
from triptych.training.content_model.features import ALL_LANGUAGES, StampFeatures
from triptych.training.content_model.head import HeadConfig, predict_logits, tokens_of, train_head
from triptych.training.content_model.report import PLOT, write_report
from triptych.training.network_design import TARGET

_LABELS = ("a", "b", "c", "d")
_DIMS = {"video": 8, "audio": 8, "text": 8}
_COUNT, _WIDTH = 80, 16
_CONFIG = HeadConfig(epochs=25, batch=16, rate=1e-2, token_dropout=0.0)


@pytest.fixture(autouse=True)
def _smaller(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (cross_validation, report):
        monkeypatch.setattr(module, "SEEDS", (0, 1))
    monkeypatch.setattr(cross_validation, "FOLDS", 2)


def test_an_advantage_of_two_modalities_is_found(tmp_path: Path) -> None:
    """Picture and text each tell half of the label, so the advantage is large and its interval well above 0."""
    found = cross_validate(_features(), _LABELS, _model, _CONFIG)

    by_subset = {own.modalities: own.accuracy for own in found.by_subset}
    assert by_subset["video", "audio", "text"] > 0.9
    assert by_subset["video",] < 0.75
    assert min(baseline.advantage.low for baseline in found.baselines) > 0.2
    assert found.baselines[0].accuracy >= found.baselines[1].accuracy
    assert {baseline.name.partition(",")[0].partition(" shown")[0] for baseline in found.baselines} == {
        "regression",
        "the model",
    }
    assert found.motifs == _COUNT // 2
    assert set(found.by_language) == set(ALL_LANGUAGES)
    page = write_report(found, tmp_path, about={})
    assert (tmp_path / PLOT).stat().st_size > 0
    assert "| video + audio + text | 80 |" in page.read_text()
    told = json.loads((tmp_path / "report.json").read_text())["best_single"]
    assert list(told) == [baseline.name for baseline in found.baselines]


def test_random_labels_are_not_predicted() -> None:
    """No fold is tested on its training data."""
    rng = torch.Generator().manual_seed(1)
    features = _features()
    features = replace(features, label=features.label[torch.randperm(_COUNT, generator=rng)])

    found = cross_validate(features, _LABELS, _model, _CONFIG)

    assert found.by_subset[-1].accuracy < 0.5
    assert max(baseline.advantage.low for baseline in found.baselines) < 0.1


def test_no_motif_is_in_training_and_test_rows() -> None:
    """Every stamp is tested once."""
    features = _features()
    tested = []
    for train, test in split_folds(features, 0):
        assert not set(features.groups[train].tolist()) & set(features.groups[test].tolist())
        tested += test.tolist()
    assert sorted(tested) == list(range(_COUNT))


def test_the_served_model_is_reproducible() -> None:
    """Bit by bit."""
    first, second = (train_served_model(_features(), _model, _CONFIG).state_dict() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_audio_alone_predicts_as_its_regression_does() -> None:
    """Whatever the other modalities learn. A label without a training sound gets a low logit."""
    features = _features()
    rows = torch.arange(_COUNT)
    heard = features.audio_mask.any(1)
    tokens = {"audio": tokens_of(features, rows)["audio"]}
    model, longer = _model(0), _model(0)

    train_head(model, features, rows, _CONFIG, seed=0)
    train_head(longer, features, rows, replace(_CONFIG, epochs=2 * _CONFIG.epochs), seed=5)

    said, again = (predict_logits(one, tokens)[heard] for one in (model, longer))
    assert torch.allclose(said, again, atol=1e-4)
    assert not torch.allclose(
        predict_logits(model, tokens_of(features, rows)), predict_logits(longer, tokens_of(features, rows)), atol=0.1
    )
    means = functional.layer_norm(features.audio, (8,)).mean(1)[heard]
    fitted = LogisticRegression(C=0.2, max_iter=2_000).fit(means, features.label[heard])
    assert fitted.classes_.tolist() == [0, 2]
    assert torch.allclose(
        said[:, [0, 2]].softmax(-1).double(), torch.from_numpy(fitted.predict_proba(means)), atol=1e-3
    )
    assert torch.allclose(said[:, [1, 3]], torch.tensor(-3.0), atol=1e-3)


class _Unused(Encoder):
    dim = 8

    def forward(self, batch: WindowBatch) -> Encoded:
        raise AssertionError(batch)


def _model(seed: int) -> FusedModel:
    torch.manual_seed(seed)
    names = tuple(sorted(_DIMS))
    head = LogitsHead(HeadReadout(TARGET, Head.FUSED, width=_WIDTH), Head.FUSED, width=_WIDTH, labels=len(_LABELS))
    return FusedModel(
        {name: _Unused() for name in names},
        {TARGET: head},
        build_fusion("residual", FusionShape(names, _WIDTH, (TARGET,), 0.0)),
        projector=TokenSpace(_DIMS, _WIDTH),
    )


def _features() -> StampFeatures:
    """Return pairs of stamps with one motif: the picture gives the label's first bit, the text its second."""
    rng = torch.Generator().manual_seed(0)
    label = torch.arange(_COUNT) // 2 % len(_LABELS)

    def tokens(bit: torch.Tensor, *between: int) -> torch.Tensor:
        noise = 0.1 * torch.randn(_COUNT, *between, 8, generator=rng)
        told = torch.nn.functional.one_hot(bit, 8).float().view(_COUNT, *(1 for _ in between), 8)
        return noise + told

    return StampFeatures(
        video=tokens(label // 2, 3),
        text=tokens(label % 2, len(ALL_LANGUAGES)),
        has_text=torch.ones(_COUNT, len(ALL_LANGUAGES), dtype=torch.bool),
        audio=torch.randn(_COUNT, 9, 8, generator=rng),
        audio_mask=(torch.arange(_COUNT) % 4 == 0)[:, None].expand(-1, 9),
        label=label,
        groups=torch.arange(_COUNT) // 2,
    )
