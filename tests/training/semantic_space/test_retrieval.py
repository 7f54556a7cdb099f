"""Fitting the semantic space and measuring its recall, on generated pictures whose captions are known functions."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from triptych.models.spaces.semantic_weights import load_semantic_weights
from triptych.training.content_model.features import ALL_LANGUAGES, StampFeatures
from triptych.training.semantic_space.fit import SOUND_NAMES, NameVectors, fit_space
from triptych.training.semantic_space.report import SPACE_NUMBERS, SPACE_PLOT, summarise_space, write_space_report
from triptych.training.semantic_space.retrieval import SpaceValidation, validate_space

MOTIFS, VARIANTS, LATENT = 100, 2, 8
SEED = 101


@pytest.fixture(scope="module")
def features() -> StampFeatures:
    """Return pictures that show points of a latent space, and captions in 16 languages that name the same points."""
    draw = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=draw)

    groups = torch.arange(MOTIFS).repeat_interleave(VARIANTS)
    points = normal(MOTIFS, LATENT)[groups] + 0.05 * normal(len(groups), LATENT)
    pictures = (points @ normal(LATENT, 1280) + 0.1 * normal(len(groups), 1280)).clamp(min=0)
    languages = 4 * normal(len(ALL_LANGUAGES), 512)
    captions = (points @ normal(LATENT, 512)).unsqueeze(1) + languages + 0.1 * normal(len(groups), 1, 512)
    has_text = torch.ones(len(groups), len(ALL_LANGUAGES), dtype=torch.bool)
    has_text[::7, 3] = False
    none = torch.zeros(len(groups), 1)
    return StampFeatures(
        video=pictures.unsqueeze(1),
        text=captions * has_text.unsqueeze(-1),
        has_text=has_text,
        audio=none.unsqueeze(-1).expand(-1, -1, 128),
        audio_mask=none.bool(),
        label=groups % 4,
        groups=groups,
    )


@pytest.fixture(scope="module")
def names() -> NameVectors:
    """Return random names of labels."""
    draw = torch.Generator().manual_seed(1)
    return NameVectors(torch.randn(1000, 512, generator=draw), torch.randn(len(SOUND_NAMES), 512, generator=draw))


@pytest.fixture(scope="module")
def classifier() -> dict[str, Tensor]:
    """Return a classifier that finds all labels equally likely, so that only the projection can find pictures."""
    return {"_fc.weight": torch.zeros(1000, 1280), "_fc.bias": torch.zeros(1000)}


@pytest.fixture(scope="module")
def found(features: StampFeatures, names: NameVectors, classifier: dict[str, Tensor]) -> SpaceValidation:
    """Return the recall on the generated pictures."""
    return validate_space(features, names, classifier, seeds=(SEED,))


def test_captions_of_motifs_never_seen_find_their_pictures(found: SpaceValidation) -> None:
    """In every language, though the languages differ more than the captions."""
    assert [own.language for own in found.by_language] == list(ALL_LANGUAGES)
    assert min(own.recall[-1] for own in found.by_language) > 0.9
    assert min(own.recall[0] for own in found.by_language) > 0.5
    assert found.by_language[3].queries == len(range(MOTIFS * VARIANTS)) - len(range(0, MOTIFS * VARIANTS, 7))


def test_captions_of_other_pictures_find_nothing(
    features: StampFeatures, names: NameVectors, classifier: dict[str, Tensor], found: SpaceValidation
) -> None:
    """Captions in another order are no better than chance: nothing leaks from test to training."""
    order = torch.randperm(len(features.label), generator=torch.Generator().manual_seed(2))
    mixed = replace(features, text=features.text[order], has_text=features.has_text[order])
    recall = validate_space(mixed, names, classifier, seeds=(SEED,)).by_language[0].recall[-1]
    assert recall < found.chance[-1] + 0.1


def test_chance_is_that_of_a_random_order(found: SpaceValidation) -> None:
    """With two pictures of each motif among forty, 1 - (38/40 * 37/39 * ...) for ten draws."""
    assert found.pool == pytest.approx(MOTIFS * VARIANTS / 5)
    none = np.prod([(38 - draw) / (40 - draw) for draw in range(10)])
    assert found.chance[-1] == pytest.approx(1 - none, abs=0.02)


def test_a_space_is_the_same_after_saving(features: StampFeatures, names: NameVectors, tmp_path: Path) -> None:
    """Weights are rounded before they are evaluated, so the file holds what was measured."""
    weights = fit_space(features, torch.arange(150), names, {"notice": "made for a test"})
    weights.save(tmp_path / "space.safetensors")
    loaded = load_semantic_weights(tmp_path / "space.safetensors")
    assert (loaded.sounds, dict(loaded.about)) == (tuple(SOUND_NAMES), {"notice": "made for a test"})
    for name, tensor in weights.tensors().items():
        torch.testing.assert_close(loaded.tensors()[name], tensor, rtol=0, atol=0)
    again = fit_space(features, torch.arange(150), names, {})
    torch.testing.assert_close(again.projection, weights.projection, rtol=0, atol=0)


def test_the_report_has_a_row_for_each_language_and_a_plot(found: SpaceValidation, tmp_path: Path) -> None:
    """The last row is that of a random order."""
    rows = list(summarise_space(found))
    assert len(rows) == 2 + len(ALL_LANGUAGES) + 1
    assert rows[-1].startswith("| random order")
    plot = write_space_report(found, tmp_path)
    assert plot.name == SPACE_PLOT
    assert plot.stat().st_size > 5_000
    assert (tmp_path / SPACE_NUMBERS).read_text(encoding="utf-8").count('"language"') == len(ALL_LANGUAGES)
