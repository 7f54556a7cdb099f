"""A trained model as the worker uses it: predictions, confidence and contributions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from triptych.models.build import ModelChoice, build_model
from triptych.models.checkpoints.card import Card, HeadCard
from triptych.models.checkpoints.checkpoint import save_checkpoint
from triptych.models.model import Model
from triptych.models.network.architecture import Network
from triptych.models.network.collate import collate, empty_batch
from triptych.models.network.fusions.registry import FUSIONS
from triptych.models.network.parts import Encoded
from triptych.models.network.shapley import shapley_values, shares
from triptych.models.trained import ServedNetwork
from triptych.models.window import PreparedWindow
from triptych.schemas.errors import UsageError

WINDOW_NS = 2_000_000_000
MakeWindow = Callable[..., PreparedWindow]
MakeCard = Callable[..., Card]
MakeNetwork = Callable[..., Network]
SUBSETS = ("video", "audio", "text", "video audio", "video text", "audio text", "video audio text")


@pytest.fixture
def served(tmp_path: Path, small_card: MakeCard, small_network: MakeNetwork) -> Callable[..., Model]:
    """Return a factory of models as the worker builds them: written to disk, then loaded by path."""

    def make(*args: object, **kwargs: object) -> Model:
        save_checkpoint(tmp_path, small_network(*args, **kwargs).model, small_card(*args, **kwargs))
        return build_model(ModelChoice(str(tmp_path), frames=1, window_ns=WINDOW_NS, device="cpu", max_batch=8))

    return make


@pytest.mark.parametrize("fusion", FUSIONS)
def test_predictions_for_every_subset_of_modalities_do_not_depend_on_the_batch(
    fusion: str, served: Callable[..., Model], noise_window: MakeWindow
) -> None:
    """Scores, confidences, shares and embeddings do not depend on the batch. An empty window has no predictions."""
    model = served(fusion)
    windows = [noise_window(seed, modalities) for seed, modalities in enumerate((*SUBSETS, "nothing"))]
    together = model.predict(windows)

    for window, modalities, prediction in zip(windows[:7], SUBSETS, together, strict=False):
        alone = model.predict([window])[0]
        assert prediction.predictions is not None
        assert alone.predictions is not None
        assert [s.label for s in prediction.predictions["mood"]] == [s.label for s in alone.predictions["mood"]]
        for ours, theirs in zip(prediction.predictions["mood"], alone.predictions["mood"], strict=True):
            assert ours.score == pytest.approx(theirs.score, rel=1e-4, abs=1e-6)
        assert sum(score.score for score in prediction.predictions["mood"]) == pytest.approx(1, abs=1e-5)
        assert prediction.shares is not None
        assert alone.shares is not None
        assert prediction.shares == pytest.approx(alone.shares, abs=2e-3)
        assert sum(prediction.shares.values()) == pytest.approx(1, abs=1e-3)
        there = {"subtitles" if name == "text" else name for name in modalities.split()}
        assert {name for name, share in prediction.shares.items() if share} <= there
        assert [own.start_ns for own in prediction.when] == [0, 500_000_000, 1_000_000_000, 1_500_000_000]
        assert prediction.when[-1].end_ns == WINDOW_NS
        total = sum(own.contribution for own in prediction.when)
        assert total == pytest.approx(prediction.predictions["mood"][0].score - 1 / 3, abs=1e-3)
        assert prediction.embedding is not None
        assert np.linalg.norm(prediction.embedding) == pytest.approx(1, abs=1e-3)
    assert together[7].predictions is None


def test_loudness_needs_no_encoder_and_the_rest_needs_the_pretrained_ones(
    served: Callable[..., Model], noise_window: MakeWindow
) -> None:
    """A network without pretrained encoders has no image labels and no share of speech."""
    heard, seen = served().predict([noise_window(1), noise_window(1, "video")])

    assert heard.loudness_lufs == pytest.approx(-20, abs=3)
    assert heard.speech_share is None
    assert heard.visual == ()
    assert seen.loudness_lufs is None


def test_confidence_is_the_score_at_the_cards_temperature(
    served: Callable[..., Model], noise_window: MakeWindow
) -> None:
    """A temperature above 1 lowers the confidence and does not change the order."""
    head = HeadCard(name="mood", kind="multiclass", labels=("sad", "plain", "glad"), temperature=4.0)
    scores = served(heads=(head,)).predict([noise_window(1)])[0].predictions
    assert scores is not None
    mood = scores["mood"]

    logits = np.log([score.score for score in mood]) / 4
    expected = np.exp(logits) / np.exp(logits).sum()
    assert [score.confidence for score in mood] == pytest.approx(expected, rel=1e-4)
    assert [score.score for score in mood] == sorted((score.score for score in mood), reverse=True)


def test_only_target_heads_are_in_the_results(served: Callable[..., Model], noise_window: MakeWindow) -> None:
    """Auxiliary and part heads are not in the results."""
    heads = (
        HeadCard(name="themes", kind="multilabel", labels=("sea", "sky"), prior=(0.1, 0.2)),
        HeadCard(name="valence", kind="regression", prior=(1.5,)),
        HeadCard(name="place", kind="embedding", dims=6),
        HeadCard(name="mood_of_video", kind="multiclass", labels=("sad", "glad"), source="video", role="auxiliary"),
        HeadCard(name="first_picture", kind="multiclass", labels=("a", "b"), source="video", index=0, role="part"),
        HeadCard(name="word", kind="multiclass", labels=("a", "b"), source="tokens", role="part"),
    )
    prediction = served("decoder", heads=heads).predict([noise_window(1)])[0]

    assert prediction.predictions is not None
    assert set(prediction.predictions) == {"themes", "valence"}
    assert sum(score.score for score in prediction.predictions["themes"]) != pytest.approx(1, abs=1e-3)
    (valence,) = prediction.predictions["valence"]
    assert valence.label == "valence"
    assert valence.confidence is None
    assert prediction.embedding is not None
    assert len(prediction.embedding) == 6


def test_the_checksum_covers_everything_that_affects_a_prediction(
    served: Callable[..., Model], small_card: MakeCard
) -> None:
    """The checksum changes with the temperature, but not with the metrics on the card."""
    card = small_card()
    info = served().info

    assert (info.name, info.version) == ("moods", "1")
    cool = HeadCard(name="mood", kind="multiclass", labels=("sad", "plain", "glad"), temperature=2.0)
    assert small_card(heads=(cool,)).sha256() != card.sha256()
    assert card.model_copy(update={"metrics": {"accuracy": 1}}).sha256() == card.sha256()
    assert len(info.sha256) == 64


def test_encoders_run_once_for_all_subsets(
    small_card: MakeCard, small_network: MakeNetwork, noise_window: MakeWindow
) -> None:
    """Only the fusion runs again for the subsets."""
    network = small_network()
    runs: list[str] = []
    for name, encoder in network.model.encoders.items():
        encoder.register_forward_hook(lambda *_args, name=name: runs.append(name))
    card = small_card()
    windows = [noise_window(1), noise_window(2)]
    batch = collate(windows, empty_batch(2, 32_000, card.input.spec()), network.tokenize)
    outputs = ServedNetwork(network.model, card).eval()(batch)

    assert outputs["shares"].shape == (2, 3)
    assert runs == ["audio", "text", "video"]


def game(subset_values: Mapping[frozenset[str], float], names: str = "audio text video") -> dict[str, float]:
    """Return the contributions in a game with the given value of each subset. The empty subset has the value 0."""
    encoded = {name: Encoded(torch.zeros(1, 1, 1), torch.ones(1, 1).bool()) for name in names.split()}

    def values(left: Mapping[str, Encoded]) -> Tensor:
        rows = next(iter(left.values())).mask.shape[0]
        there = [frozenset(name for name in left if left[name].mask[row].any()) for row in range(rows)]
        return torch.tensor([[subset_values[subset]] for subset in there])

    found = shapley_values(encoded, values, torch.zeros(1), torch.zeros(1, dtype=torch.int64))
    return {name: float(value) for name, value in found.items()}


def test_contributions_are_the_shapley_values() -> None:
    """In the glove game, one left and two right gloves are subset_values 4/6, 1/6 and 1/6 (Shapley, 1953)."""
    subsets = [frozenset(s.split()) for s in SUBSETS]
    glove = {subset: float("video" in subset and len(subset) > 1) for subset in subsets}

    assert game(glove) == pytest.approx({"video": 4 / 6, "audio": 1 / 6, "text": 1 / 6})
    alone = game(dict.fromkeys(subsets, 0.0) | {s: 1.0 for s in subsets if "text" in s})
    assert alone == pytest.approx({"text": 1, "audio": 0, "video": 0}, abs=1e-6)
    assert game({frozenset({"audio"}): 0.7}, "audio") == pytest.approx({"audio": 0.7})


def test_shares_are_absolute_contributions() -> None:
    """A modality with a negative contribution has a share too."""
    contributions = {"video": torch.tensor([0.6, 0.0]), "text": torch.tensor([-0.2, 0.0])}

    found = shares(contributions, ("video", "audio", "text"))
    assert found[0].tolist() == pytest.approx([0.75, 0, 0.25])
    assert found[1].tolist() == [0, 0, 0]


def test_a_wrong_window_length_is_an_error_that_names_the_flag(
    tmp_path: Path, small_card: MakeCard, small_network: MakeNetwork
) -> None:
    """A model that was trained with windows of 2 s does not run with windows of 4 s."""
    save_checkpoint(tmp_path, small_network().model, small_card())

    with pytest.raises(UsageError, match=r"set --window-ms 2000"):
        build_model(ModelChoice(str(tmp_path), frames=1, window_ns=2 * WINDOW_NS, device="cpu"))


def test_a_head_reads_nothing_but_its_source(
    small_card: MakeCard, small_network: MakeNetwork, noise_window: MakeWindow
) -> None:
    """An auxiliary head of the video does not depend on the audio."""
    head = HeadCard(name="seen", kind="multiclass", labels=("a", "b"), source="video", role="auxiliary")
    network = small_network(heads=(HeadCard(name="mood", kind="multiclass", labels=("a", "b")), head))
    spec = small_card().input.spec()

    def answers(*windows: PreparedWindow) -> dict[str, Tensor]:
        made: nn.Module = network.model
        outputs: dict[str, Tensor] = made(collate(windows, empty_batch(len(windows), 32_000, spec), network.tokenize))
        return outputs

    torch.testing.assert_close(answers(noise_window(1))["seen"], answers(noise_window(1, "video"))["seen"])
    assert "seen" not in answers(noise_window(1, "audio"))
