"""Build a model by its name: the one place that chooses."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from triptych.models.model import InputSpec, Model
from triptych.models.null import NullModel
from triptych.models.pretrained.download.cache import cache_folder
from triptych.models.shipped import shipped_models
from triptych.schemas.errors import UsageError
from triptych.units import NS_PER_MS

if TYPE_CHECKING:
    from triptych.models.execution.runtime import RunOptions

_MODEL_NAMES = ("base", "null")
_NULL_PIXELS = 32
_NULL_SAMPLE_RATE_HZ = 16_000


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """Say which model to build, and how it is to run.

    Attributes:
        name: one of `model_names()`, or the path of a trained model.
        frames: so many pictures of each window at most; a trained model has its own number.
        window_ns: length of the windows.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        max_batch: so many windows at once at most.
        threads: CPU threads for one operation; None leaves it to torch.
        encoder_devices: encoders that run elsewhere, as `video=cuda:1,text=cpu`.
        compiled: as what a trained model runs on a CPU: `off`, `export` or `aot`.
    """

    name: str
    frames: int
    window_ns: int
    device: str = "auto"
    max_batch: int = 8
    threads: int | None = None
    encoder_devices: str = ""
    compiled: Literal["off", "export", "aot"] = "off"


def build_model(choice: ModelChoice) -> Model:
    """Build the model, not yet warm.

    Raises:
        UsageError: there is no such model or device, or the weights were never pulled.
    """
    if choice.name == "null":
        return NullModel(InputSpec(choice.frames, _NULL_PIXELS, _NULL_PIXELS, _NULL_SAMPLE_RATE_HZ))
    if choice.name == "base":
        return _build_base(choice)
    if shipped := shipped_models().get(choice.name):
        return _build_trained(replace(choice, name=str(shipped)))
    if not is_path(choice.name):
        raise UsageError(
            f"no model is called {choice.name!r}; there are: {', '.join(model_names())}, or the path of a trained one"
        )
    return _build_trained(choice)


def model_names() -> tuple[str, ...]:
    """Return the names that models have, those that come with the package included."""
    return (*_MODEL_NAMES, *shipped_models())


def _build_base(choice: ModelChoice) -> Model:
    from triptych.models.base import build_base_model  # noqa: PLC0415 - torch is heavy, see `_options`

    return build_base_model(choice.frames, _options(choice), weights_folder=cache_folder())


def _build_trained(choice: ModelChoice) -> Model:
    from triptych.models.checkpoints.card import refuse_features  # noqa: PLC0415 - as above
    from triptych.models.checkpoints.checkpoint import load_checkpoint  # noqa: PLC0415
    from triptych.models.observed.observations import observer_of  # noqa: PLC0415
    from triptych.models.trained import build_trained_model  # noqa: PLC0415

    checkpoint = load_checkpoint(Path(choice.name), weights_folder=cache_folder())
    refuse_features(checkpoint.card)
    trained_ms, ours_ms = checkpoint.card.input.window_ns // NS_PER_MS, choice.window_ns // NS_PER_MS
    if trained_ms != ours_ms:
        raise UsageError(
            f"{choice.name}: windows were {trained_ms} ms when the model was trained, the worker makes {ours_ms} ms; "
            f"give --window-ms {trained_ms} (window.size_ms)"
        )
    observer = observer_of(checkpoint.card.architecture.frozen, weights_folder=cache_folder())
    return build_trained_model(checkpoint, _options(choice), observer)


def _options(choice: ModelChoice) -> RunOptions:
    import torch  # noqa: PLC0415 - the null model and the command line do without it

    from triptych.models.execution.placement import devices_of  # noqa: PLC0415
    from triptych.models.execution.runtime import RunOptions, choose_device  # noqa: PLC0415

    if choice.threads is not None:
        torch.set_num_threads(choice.threads)
    elsewhere = {modality: choose_device(name) for modality, name in devices_of(choice.encoder_devices).items()}
    device = choose_device(choice.device)
    return RunOptions(
        device,
        choice.window_ns,
        choice.max_batch,
        encoder_devices=elsewhere,
        graph=None if choice.compiled == "off" else choice.compiled,
        graphs_folder=cache_folder(),
    )


def is_path(name: str) -> bool:
    """Say whether a name can only mean files: a slip of the pen must not be taken for a path that is not there."""
    if name in model_names():
        return False
    return "/" in name or name.endswith((".json", ".safetensors")) or Path(name).exists()
