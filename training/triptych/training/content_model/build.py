"""Build the content model: stamps to windows, windows to tokens, a trained head, cross-validation, and a card."""

from __future__ import annotations

import hashlib
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import torch

from triptych.models.checkpoints.card import Card
from triptych.models.checkpoints.checkpoint import save_checkpoint
from triptych.models.network.architecture import Network, build_network, pretrained_checksums, rebuild_network
from triptych.models.network.fused import FusedModel
from triptych.training.config import NetworkConfig, TrainConfig
from triptych.training.content_model.collection import Stamp, read_stamps
from triptych.training.content_model.cross_validation import CrossValidation, cross_validate, train_served_model
from triptych.training.content_model.features import StampFeatures, encode_stamps
from triptych.training.content_model.head import HeadConfig
from triptych.training.content_model.report import as_numbers, write_report
from triptych.training.content_model.windows import NAME, manifest_of_stamps, task_of_stamps, windows_of_stamps
from triptych.training.data.example import MODALITIES, Task
from triptych.training.data.labelled_windows import ReadClip
from triptych.training.data.manifest import read_manifest, write_manifest
from triptych.training.data.pools.cache import TrackProgress, cached_pool, no_progress, pools_folder
from triptych.training.network_design import new_card
from triptych.training.trainer import deterministic

FEATURES_FILE: Final = "features.npz"
_RECIPE_VERSION: Final = 1
_NETWORK: Final = NetworkConfig(fusion="residual", encoders=dict.fromkeys(MODALITIES, "frozen"), width=128, dropout=0.1)
LIMITS: Final = (
    (
        "It knows twelve kinds of content and always names one: of a window about anything else (people, news, a "
        "street) its answer means nothing, and its confidence does not say so."
    ),
    (
        "It has seen single clean pictures on white or tinted paper, each with a caption of a few words that names "
        "what is shown. Films with dialogue are another domain; nothing was measured there."
    ),
    "Confidence was calibrated on stamps. It does not hold for anything else.",
    "Words that do not name what is shown mislead it.",
    (
        "Few stamps have a sound, half of them animals, and the encoder of sound was made to detect speech: what it "
        "adds is next to nothing."
    ),
    (
        "The kinds are Tux Paint's folders, a matter of taste (a pumpkin is food or seasonal), and uneven: a third "
        "are symbols."
    ),
)


@dataclass(frozen=True, slots=True)
class BuiltModel:
    """The checkpoint's card, the results of cross-validation, and the path of the report."""

    card: Card
    found: CrossValidation
    report: Path


def build_content_model(
    stamps_folder: Path,
    out: Path,
    *,
    weights_folder: Path,
    read: ReadClip,
    command: str,
    track: TrackProgress[Any] = no_progress,
) -> BuiltModel:
    """Train and evaluate the model on the stamps of Tux Paint, and write checkpoint and report.

    Raises:
        UsageError: the stamps or the pretrained weights are missing.
    """
    started_s = time.monotonic()
    stamps = read_stamps(stamps_folder)
    pool = cached_features(stamps, weights_folder, read, track)
    task = task_of_stamps(read_manifest(pool))
    card = _card(task, command)
    config = HeadConfig()
    with deterministic(torch.device("cpu")):
        features = StampFeatures.load(pool / FEATURES_FILE)
        maker = _ModelFactory(build_network(card.architecture, weights_folder=weights_folder), card)
        found = cross_validate(features, task.labels, maker, config, track)
        model = train_served_model(features, maker, config)
    seconds = time.monotonic() - started_s
    card = _finished(card, found, features, config, seconds)
    card = save_checkpoint(out / "model", model, card)
    return BuiltModel(card, found, write_report(found, out / "report", about={"took": f"{seconds:.0f} s"}))


def cached_features(stamps: tuple[Stamp, ...], weights_folder: Path, read: ReadClip, track: TrackProgress[Any]) -> Path:
    """Return the cache folder with manifest, pictures and tokens of the stamps. It is filled once."""

    def fill(folder: Path) -> None:
        manifest = manifest_of_stamps(stamps, folder)
        write_manifest(manifest)
        examples = list(windows_of_stamps(manifest, read, track))
        network = build_network(_card(task_of_stamps(manifest), "").architecture, weights_folder=weights_folder)
        encode_stamps(stamps, examples, network, track).save(folder / FEATURES_FILE)

    content = hashlib.sha256()
    for stamp in stamps:
        content.update(f"{stamp.id}\n{stamp.motif}\n{sorted(stamp.captions.items())}\n".encode())
        for file in (stamp.picture, stamp.sound):
            content.update(b"" if file is None else file.read_bytes())
    encoders = [checksum for modality in MODALITIES for checksum in pretrained_checksums(modality)]
    recipe = {"version": _RECIPE_VERSION, "stamps": content.hexdigest(), "encoders": encoders}
    return cached_pool(pools_folder(), "stamps", recipe, fill)


class _ModelFactory:
    """Makes models with untrained heads. All share the frozen encoders."""

    def __init__(self, network: Network, card: Card) -> None:
        self._network, self._architecture = network, card.architecture

    def __call__(self, seed: int) -> FusedModel:
        torch.manual_seed(seed)
        return rebuild_network(self._network, self._architecture).model


def _card(task: Task, command: str) -> Card:
    """Return the card of the untrained network."""
    card = new_card(replace(task, parts={}), TrainConfig(network=_NETWORK), name=NAME)
    architecture = card.architecture.model_copy(update={"heads": card.architecture.targets})
    return card.model_copy(update={"architecture": architecture, "limits": LIMITS, "training": {"command": command}})


def _finished(card: Card, found: CrossValidation, features: StampFeatures, config: HeadConfig, seconds: float) -> Card:
    """Add the results to a card. The head gets the cross-validated temperature."""
    counts = torch.bincount(features.label, minlength=len(found.labels))
    prior = tuple(round(float(share), 6) for share in counts / counts.sum())
    heads = tuple(
        head.model_copy(update={"temperature": found.temperature, "prior": prior}) if head.role == "target" else head
        for head in card.architecture.heads
    )
    training_record = {
        "data": "stamps of Tux Paint (tuxpaint-stamps-default), pictures and captions under the GPL-2",
        "stamps": found.count,
        "motifs": found.motifs,
        "config": asdict(config),
        "seconds": round(seconds, 1),
        "torch": torch.__version__,
    }
    return card.model_copy(
        update={
            "architecture": card.architecture.model_copy(update={"heads": heads}),
            "training": {**card.training, **training_record},
            "metrics": {"cross_validation": as_numbers(found)},
        }
    )
