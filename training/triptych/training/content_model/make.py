"""Make the model of content: stamps to windows, windows to tokens, tokens to a head, its study and its card."""

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
from triptych.training.content_model.features import StampFeatures, encoded_stamps
from triptych.training.content_model.head import HeadConfig
from triptych.training.content_model.report import as_numbers, write_report
from triptych.training.content_model.study import Study, served_model, study
from triptych.training.content_model.windows import NAME, manifest_of_stamps, task_of_stamps, windows_of_stamps
from triptych.training.data.example import MODALITIES, Task
from triptych.training.data.labelled_windows import ReadClip
from triptych.training.data.manifest import read_manifest, write_manifest
from triptych.training.data.pools.cache import Track, kept, pools_folder, untracked
from triptych.training.network_design import new_card
from triptych.training.trainer import repeatable

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
class Made:
    """The card of the checkpoint, what was found, and where both are told."""

    card: Card
    found: Study
    report: Path


def make_content_model(
    stamps_folder: Path, out: Path, *, weights_folder: Path, read: ReadClip, command: str, track: Track[Any] = untracked
) -> Made:
    """Train and measure the model on the stamps of Tux Paint and write checkpoint and report.

    Raises:
        UsageError: the stamps or the pretrained weights are not there.
    """
    started_s = time.monotonic()
    stamps = read_stamps(stamps_folder)
    pool = kept_windows(stamps, weights_folder, read, track)
    task = task_of_stamps(read_manifest(pool))
    card = _card(task, command)
    config = HeadConfig()
    with repeatable(torch.device("cpu")):
        features = StampFeatures.load(pool / FEATURES_FILE)
        maker = _Maker(build_network(card.architecture, weights_folder=weights_folder), card)
        found = study(features, task.labels, maker, config, track)
        model = served_model(features, maker, config)
    seconds = time.monotonic() - started_s
    card = _finished(card, found, features, config, seconds)
    card = save_checkpoint(out / "model", model, card)
    return Made(card, found, write_report(found, out / "report", about={"took": f"{seconds:.0f} s"}))


def kept_windows(stamps: tuple[Stamp, ...], weights_folder: Path, read: ReadClip, track: Track[Any]) -> Path:
    """Return the folder in the cache that holds manifest, pictures and tokens of the stamps, made once."""

    def fill(folder: Path) -> None:
        manifest = manifest_of_stamps(stamps, folder)
        write_manifest(manifest)
        examples = list(windows_of_stamps(manifest, read, track))
        network = build_network(_card(task_of_stamps(manifest), "").architecture, weights_folder=weights_folder)
        encoded_stamps(stamps, examples, network, track).save(folder / FEATURES_FILE)

    content = hashlib.sha256()
    for stamp in stamps:
        content.update(f"{stamp.id}\n{stamp.motif}\n{sorted(stamp.captions.items())}\n".encode())
        for file in (stamp.picture, stamp.sound):
            content.update(b"" if file is None else file.read_bytes())
    encoders = [checksum for modality in MODALITIES for checksum in pretrained_checksums(modality)]
    recipe = {"version": _RECIPE_VERSION, "stamps": content.hexdigest(), "encoders": encoders}
    return kept(pools_folder(), "stamps", recipe, fill)


class _Maker:
    """Makes models with heads not trained yet; the frozen encoders are the same for all."""

    def __init__(self, network: Network, card: Card) -> None:
        self._network, self._architecture = network, card.architecture

    def __call__(self, seed: int) -> FusedModel:
        torch.manual_seed(seed)
        return rebuild_network(self._network, self._architecture).model


def _card(task: Task, command: str) -> Card:
    """Describe the network, not trained yet."""
    card = new_card(replace(task, parts={}), TrainConfig(network=_NETWORK), name=NAME)
    architecture = card.architecture.model_copy(update={"heads": card.architecture.targets})
    return card.model_copy(update={"architecture": architecture, "limits": LIMITS, "training": {"command": command}})


def _finished(card: Card, found: Study, features: StampFeatures, config: HeadConfig, seconds: float) -> Card:
    """Add to a card what was found; confidences are to use the temperature of the folds."""
    counts = torch.bincount(features.label, minlength=len(found.labels))
    prior = tuple(round(float(share), 6) for share in counts / counts.sum())
    heads = tuple(
        head.model_copy(update={"temperature": found.temperature, "prior": prior}) if head.role == "target" else head
        for head in card.architecture.heads
    )
    told = {
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
            "training": {**card.training, **told},
            "metrics": {"cross_validation": as_numbers(found)},
        }
    )
