"""Checkpoints on disk are read back unchanged, and any damage is detected."""

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


def test_a_loaded_model_gives_the_same_outputs(
    tmp_path: Path, small_card: MakeCard, small_network: MakeNetwork, noise_window: Callable[..., PreparedWindow]
) -> None:
    """The outputs are bit-identical, and the path may be the folder, the weights or the card."""
    network = small_network()
    card = save_checkpoint(tmp_path, network.model, small_card())
    batch = collate([noise_window(1)], empty_batch(1, 32_000, card.input.spec()), network.tokenize)
    before = network.model(batch)["mood"]

    for path in (tmp_path, tmp_path / "model.safetensors", tmp_path / "model.json"):
        loaded = load_checkpoint(path, weights_folder=NOWHERE)
        assert loaded.card == card
        assert torch.equal(loaded.network.model.eval()(batch)["mood"], before)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.json", "model.safetensors"]


def damage_card(change: Callable[[dict[str, object]], object]) -> Callable[[Path, Path], None]:
    """Return a function that changes a card, which remains valid JSON."""

    def damage(_weights: Path, card: Path) -> None:
        content = json.loads(card.read_text())
        change(content)
        card.write_text(json.dumps(content))

    return damage


def truncate(weights: Path, _card: Path) -> None:
    """Truncate the weights to half."""
    weights.write_bytes(weights.read_bytes()[: weights.stat().st_size // 2])


def replace_with_pickle(weights: Path, card: Path) -> None:
    """Replace the weights by a pickle with the right checksum."""
    weights.write_bytes(pickle.dumps({"a": 1}))
    _name_checksum(weights, card)


def change_shape(weights: Path, card: Path) -> None:
    """Change the shape of one tensor; the checksum is right."""
    tensors = load_file(weights)
    name = next(name for name in tensors if name.endswith("fc.weight"))
    save_file(tensors | {name: torch.zeros(1, 2)}, weights)
    _name_checksum(weights, card)


def remove_tensor(weights: Path, card: Path) -> None:
    """Remove one tensor; the checksum is right."""
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
    ("damage", "message"),
    [
        (truncate, "one of the two files is damaged or belongs to another training run"),
        (replace_with_pickle, "not a safetensors file"),
        (change_shape, r"wrong shape \['heads.mood.fc.weight'\]"),
        (remove_tensor, "missing"),
        (lambda weights, _card: weights.unlink(), "cannot read the model weights"),
        (lambda _weights, card: card.unlink(), "cannot read the model card"),
        (lambda _weights, card: card.write_text('{"name": "m"'), "not a valid model card: the file"),
        (lambda _weights, card: card.write_bytes(b"\xff"), "cannot read"),
        (damage_card(lambda card: card.pop("input")), "input: Field required"),
        (damage_card(lambda card: card.update(colour="red")), "colour: Extra inputs are not permitted"),
        (damage_card(lambda card: card.update(card_version=2)), "card_version: Input should be 1"),
        (damage_card(lambda card: card.update(name="../up")), "name: String should match"),
    ],
)
def test_a_damaged_checkpoint_is_rejected_with_the_reason(
    tmp_path: Path, small_card: MakeCard, small_network: MakeNetwork, damage: Callable[[Path, Path], None], message: str
) -> None:
    """The error message gives the reason, and nothing of the checkpoint is run."""
    save_checkpoint(tmp_path, small_network().model, small_card())
    damage(*checkpoint_files(tmp_path))

    with pytest.raises(UsageError, match=message):
        load_checkpoint(tmp_path, weights_folder=NOWHERE)


@pytest.mark.parametrize(
    ("head", "message"),
    [
        ({"kind": "multiclass"}, "expected one or more for a multiclass head"),
        ({"kind": "regression", "labels": ("a",)}, "expected none for a regression head"),
        ({"kind": "multiclass", "labels": ("a", "a")}, "expected unique names"),
        ({"kind": "embedding"}, "expected more than 0 for a head of kind embedding"),
        ({"kind": "multiclass", "labels": ("a", "b"), "prior": (1.0,)}, "prior: expected 2 numbers, got 1"),
        ({"kind": "multiclass", "labels": ("a",), "temperature": 0}, "temperature"),
    ],
)
def test_an_invalid_head_is_rejected(head: dict[str, object], message: str) -> None:
    """Invalid heads are detected before anything is built."""
    with pytest.raises(ValueError, match=message):
        HeadCard.model_validate({"name": "mood", **head})


def test_an_invalid_architecture_is_rejected() -> None:
    """The error message names the invalid part."""
    small = EncoderCard(kind="small")
    mood = HeadCard(name="mood", kind="multiclass", labels=("a", "b"))
    fusion = FusionCard(name="late")
    head_without_encoder = HeadCard(name="heard", kind="multiclass", labels=("a", "b"), source="audio")
    with pytest.raises(ValueError, match="heard reads audio, for which the model has no encoder"):
        Architecture(width=8, encoders={"video": small}, fusion=fusion, heads=(mood, head_without_encoder))
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
