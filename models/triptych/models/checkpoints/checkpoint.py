"""Write and read a trained model: `NAME.safetensors` with the weights, and `NAME.json`, its card, beside it.

Nothing in either can run code. The card names the checksum of the weights, so that a pair of which one half is old,
cut short or changed is refused.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from triptych.models.checkpoints.card import Card, CardError, read_card
from triptych.models.checkpoints.paths import checkpoint_files
from triptych.models.checkpoints.quantisation import packed, unpacked
from triptych.models.checkpoints.storage import Storage
from triptych.models.network.architecture import Network, build_network
from triptych.models.network.encoders.pretrained import is_frozen_part
from triptych.models.shipped import located


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Hold a trained model as it was read: checked and whole."""

    card: Card
    network: Network


def trained_state(model: nn.Module, frozen: tuple[str, ...]) -> dict[str, Tensor]:
    """Return the tensors that training made; frozen encoders are named by their checksums instead."""
    return {
        name: tensor.detach().cpu().contiguous()
        for name, tensor in model.state_dict().items()
        if not is_frozen_part(name, frozen)
    }


def save_checkpoint(path: Path, model: nn.Module, card: Card, *, storage: Storage = "fp32") -> Card:
    """Write weights and card, and return the card with the checksum of these weights.

    Each file appears whole or not at all, the card last: in between, a reader refuses the pair.
    """
    weights_path, card_path = checkpoint_files(path)
    content = save(packed(trained_state(model, card.architecture.frozen), model, storage))
    card = card.model_copy(update={"weights_sha256": hashlib.sha256(content).hexdigest()})
    weights_path.parent.mkdir(parents=True, exist_ok=True)
    _write(weights_path, content)
    _write(card_path, (card.model_dump_json(indent=2) + "\n").encode())
    return card


def load_checkpoint(path: Path, *, weights_folder: Path) -> Checkpoint:
    """Read a trained model, by its path or by the name of one that comes with the package.

    Raises:
        UsageError: a file is missing or damaged, the two do not belong together, or this version cannot build it.
    """
    weights_path, card_path = checkpoint_files(located(path))
    card = read_card(card_path)
    try:
        content = weights_path.read_bytes()
    except OSError as error:
        raise CardError(f"{weights_path}: the weights of the model cannot be read: {error}") from error
    digest = hashlib.sha256(content).hexdigest()
    if digest != card.weights_sha256:
        raise CardError(
            f"{weights_path}: expected the weights that {card_path.name} names (sha256 {card.weights_sha256}), "
            f"got {digest}: one of the two is damaged or of another training"
        )
    network = build_network(card.architecture, weights_folder=weights_folder)
    _fill(network.model, _tensors(content, weights_path), card, weights_path)
    return Checkpoint(card, network)


def _tensors(content: bytes, path: Path) -> dict[str, Tensor]:
    try:
        return unpacked(load(content))
    except (SafetensorError, ValueError) as error:
        raise CardError(f"{path}: not a file of safetensors: {error}") from error


def _fill(model: nn.Module, tensors: dict[str, Tensor], card: Card, path: Path) -> None:
    wanted = trained_state(model, card.architecture.frozen)
    missing, foreign = sorted(set(wanted) - set(tensors)), sorted(set(tensors) - set(wanted))
    wrong = [name for name in sorted(set(wanted) & set(tensors)) if wanted[name].shape != tensors[name].shape]
    if missing or foreign or wrong:
        raise CardError(
            f"{path}: not the weights of the network that its card describes: missing {missing[:3]}, "
            f"not known {foreign[:3]}, of another shape {wrong[:3]}"
        )
    model.load_state_dict(tensors, strict=False)  # what is not there is frozen, and has its weights already


def _write(path: Path, content: bytes) -> None:
    handle, partial = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(partial).chmod(0o644)
        Path(partial).replace(path)
    finally:
        Path(partial).unlink(missing_ok=True)
