"""A trained model on disk: read back as it was written, refused when anything about it is wrong."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from triptych.models.checkpoints.card import Architecture, Card, EncoderCard, FusionCard, HeadCard
from triptych.models.checkpoints.checkpoint import load_checkpoint, save_checkpoint
from triptych.models.checkpoints.paths import checkpoint_files
from triptych.models.network.architecture import Network, build_network
from triptych.models.network.collate import collate, empty_batch
from triptych.models.window import PreparedWindow
from triptych.schemas.errors import UsageError

MakeCard = Callable[..., Card]
MakeNetwork = Callable[..., Network]
NOWHERE = Path("nowhere")


def test_what_is_read_answers_as_what_was_written(
    tmp_path: Path, small_card: MakeCard, small_network: MakeNetwork, noise_window: Callable[..., PreparedWindow]
) -> None:
    """Bit by bit; by the path of the folder, the weights or the card."""
    network = small_network()
    card = save_checkpoint(tmp_path, network.model, small_card())
    batch = collate([noise_window(1)], empty_batch(1, 32_000, card.input.spec()), network.tokenize)
    before = network.model(batch)["mood"]

    for path in (tmp_path, tmp_path / "model.safetensors", tmp_path / "model.json"):
        loaded = load_checkpoint(path, weights_folder=NOWHERE)
        assert loaded.card == card
        assert torch.equal(loaded.network.model.eval()(batch)["mood"], before)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.json", "model.safetensors"]


def spoil_card(change: Callable[[dict[str, object]], object]) -> Callable[[Path, Path], None]:
    """Return what changes a card, its JSON still whole."""

    def spoil(_weights: Path, card: Path) -> None:
        content = json.loads(card.read_text())
        change(content)
        card.write_text(json.dumps(content))

    return spoil


def cut_short(weights: Path, _card: Path) -> None:
    """Leave half of the weights."""
    weights.write_bytes(weights.read_bytes()[: weights.stat().st_size // 2])


def pickled(weights: Path, card: Path) -> None:
    """Put a pickle in the place of the weights, checksum and all."""
    weights.write_bytes(pickle.dumps({"a": 1}))
    _name_checksum(weights, card)


def another_shape(weights: Path, card: Path) -> None:
    """Change one tensor's shape, checksum and all."""
    tensors = load_file(weights)
    name = next(name for name in tensors if name.endswith("fc.weight"))
    save_file(tensors | {name: torch.zeros(1, 2)}, weights)
    _name_checksum(weights, card)


def one_missing(weights: Path, card: Path) -> None:
    """Take one tensor away, checksum and all."""
    tensors = load_file(weights)
    tensors.popitem()
    save_file(tensors, weights)
    _name_checksum(weights, card)


def _name_checksum(weights: Path, card: Path) -> None:
    import hashlib

    content = json.loads(card.read_text())
    content["weights_sha256"] = hashlib.sha256(weights.read_bytes()).hexdigest()
    card.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (cut_short, "one of the two files is damaged or belongs to another training run"),
        (pickled, "not a safetensors file"),
        (another_shape, r"wrong shape \['heads.mood.fc.weight'\]"),
        (one_missing, "missing"),
        (lambda weights, _card: weights.unlink(), "cannot read the model weights"),
        (lambda _weights, card: card.unlink(), "cannot read the model card"),
        (lambda _weights, card: card.write_text('{"name": "m"'), "not a valid model card: the file"),
        (lambda _weights, card: card.write_bytes(b"\xff"), "cannot read"),
        (spoil_card(lambda card: card.pop("input")), "input: Field required"),
        (spoil_card(lambda card: card.update(colour="red")), "colour: Extra inputs are not permitted"),
        (spoil_card(lambda card: card.update(card_version=2)), "card_version: Input should be 1"),
        (spoil_card(lambda card: card.update(name="../up")), "name: String should match"),
    ],
)
def test_a_damaged_checkpoint_is_refused_in_words(
    tmp_path: Path, small_card: MakeCard, small_network: MakeNetwork, spoil: Callable[[Path, Path], None], said: str
) -> None:
    """And nothing of it is run."""
    save_checkpoint(tmp_path, small_network().model, small_card())
    spoil(*checkpoint_files(tmp_path))

    with pytest.raises(UsageError, match=said):
        load_checkpoint(tmp_path, weights_folder=NOWHERE)


@pytest.mark.parametrize(
    ("head", "said"),
    [
        ({"kind": "multiclass"}, "expected one or more for a multiclass head"),
        ({"kind": "regression", "labels": ("a",)}, "expected none for a regression head"),
        ({"kind": "multiclass", "labels": ("a", "a")}, "expected unique names"),
        ({"kind": "embedding"}, "expected more than 0 for a head of kind embedding"),
        ({"kind": "multiclass", "labels": ("a", "b"), "prior": (1.0,)}, "prior: expected 2 numbers, got 1"),
        ({"kind": "multiclass", "labels": ("a",), "temperature": 0}, "temperature"),
    ],
)
def test_a_head_that_cannot_be_is_refused(head: dict[str, object], said: str) -> None:
    """Before anything is built."""
    with pytest.raises(ValueError, match=said):
        HeadCard.model_validate({"name": "mood", **head})


def test_an_architecture_that_cannot_be_is_refused() -> None:
    """Names the part that does not fit."""
    small = EncoderCard(kind="small")
    mood = HeadCard(name="mood", kind="multiclass", labels=("a", "b"))
    fusion = FusionCard(name="late")
    deaf = HeadCard(name="heard", kind="multiclass", labels=("a", "b"), source="audio")
    with pytest.raises(ValueError, match="heard reads audio, for which the model has no encoder"):
        Architecture(width=8, encoders={"video": small}, fusion=fusion, heads=(mood, deaf))
    with pytest.raises(ValueError, match="expected unique names"):
        Architecture(width=8, encoders={"video": small}, fusion=fusion, heads=(mood, mood))
    with pytest.raises(ValueError, match="its random weights would stay random"):
        EncoderCard(kind="small", frozen=True)
    with pytest.raises(UsageError, match="the video encoder cannot be built with"):
        build_network(
            Architecture(
                width=8,
                encoders={"video": EncoderCard(kind="small", options={"depth": 3})},
                fusion=fusion,
                heads=(mood,),
            ),
            weights_folder=NOWHERE,
        )
