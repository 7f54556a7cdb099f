"""Write and read a trained model: the weights in `NAME.safetensors` and its card in `NAME.json`.

Neither file can run code. The card holds the checksum of the weights, so a mismatched, truncated or modified pair is
detected.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from triptych.files import replacing_file, why_unreadable
from triptych.models.checkpoints.card import Card, CardError, read_card
from triptych.models.checkpoints.paths import checkpoint_files
from triptych.models.checkpoints.quantisation import dequantise, quantise
from triptych.models.checkpoints.storage import Storage
from triptych.models.network.architecture import Network, build_network
from triptych.models.network.encoders.pretrained import is_frozen_part
from triptych.models.shipped import resolve_checkpoint


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A trained model as read from disk, validated and complete."""

    card: Card
    network: Network


def trained_state(model: nn.Module, frozen: tuple[str, ...]) -> dict[str, Tensor]:
    """Return the state dict without frozen encoders. The card names those by the checksums of their weights."""
    return {
        name: tensor.detach().cpu().contiguous()
        for name, tensor in model.state_dict().items()
        if not is_frozen_part(name, frozen)
    }


def save_checkpoint(path: Path, model: nn.Module, card: Card, *, storage: Storage = "fp32") -> Card:
    """Write weights and card. Return the card with the checksum of these weights.

    Each file is replaced atomically, the card last. Until then, a reader rejects the pair because of the checksum.
    """
    weights_path, card_path = checkpoint_files(path)
    content = save(quantise(trained_state(model, card.architecture.frozen), model, storage))
    card = card.model_copy(update={"weights_sha256": hashlib.sha256(content).hexdigest()})
    weights_path.parent.mkdir(parents=True, exist_ok=True)
    _write(weights_path, content)
    _write(card_path, (card.model_dump_json(indent=2) + "\n").encode())
    return card


def load_checkpoint(path: Path, *, weights_folder: Path) -> Checkpoint:
    """Read a trained model by its path or by the name of a shipped model.

    Raises:
        UsageError: a file is missing or damaged, the files do not match, or this version cannot build the network.
    """
    weights_path, card_path = checkpoint_files(resolve_checkpoint(path))
    card = read_card(card_path)
    try:
        content = weights_path.read_bytes()
    except OSError as error:
        reason = why_unreadable(weights_path) or f"{weights_path}: cannot read the model weights: {error}"
        raise CardError(reason) from error
    digest = hashlib.sha256(content).hexdigest()
    if digest != card.weights_sha256:
        raise CardError(
            f"{weights_path}: expected the weights that {card_path.name} names (sha256 {card.weights_sha256}), "
            f"got {digest}: one of the two files is damaged or belongs to another training run"
        )
    network = build_network(card.architecture, weights_folder=weights_folder)
    _fill(network.model, _tensors(content, weights_path), card, weights_path)
    return Checkpoint(card, network)


def _tensors(content: bytes, path: Path) -> dict[str, Tensor]:
    try:
        return dequantise(load(content))
    except (SafetensorError, ValueError) as error:
        raise CardError(f"{path}: not a safetensors file: {error}") from error


def _fill(model: nn.Module, tensors: dict[str, Tensor], card: Card, path: Path) -> None:
    """Load the tensors into the network.

    Raise `CardError` if names or shapes differ from those that the card describes.
    """
    expected = trained_state(model, card.architecture.frozen)
    missing, unexpected = sorted(set(expected) - set(tensors)), sorted(set(tensors) - set(expected))
    mismatched = [name for name in sorted(set(expected) & set(tensors)) if expected[name].shape != tensors[name].shape]
    if missing or unexpected or mismatched:
        raise CardError(
            f"{path}: the weights do not match the network that the card describes: missing {missing[:3]}, "
            f"unexpected {unexpected[:3]}, wrong shape {mismatched[:3]}"
        )
    model.load_state_dict(tensors, strict=False)  # frozen encoders have their weights already


def _write(path: Path, content: bytes) -> None:
    with replacing_file(path) as partial:
        partial.write_bytes(content)
