"""Build a model by name. This is the only module that selects the implementation."""

from __future__ import annotations

import os.path
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from triptych.models.foundation.files.model_source import SOURCE_FORMS, parse_model_source
from triptych.models.foundation.sources import NO_FOUNDATION, FoundationSources
from triptych.models.model import InputSpec, Model
from triptych.models.null import NullModel
from triptych.models.pretrained.download.cache import cache_folder
from triptych.models.shipped import shipped_models
from triptych.schemas.errors import UsageError
from triptych.units import NS_PER_MS

if TYPE_CHECKING:
    from triptych.models.checkpoints.card import Card
    from triptych.models.detection.detector import Detector
    from triptych.models.execution.cpu_runtime import CpuRuntime
    from triptych.models.execution.runtime import RunOptions

_MODEL_NAMES = ("base", "null")
_DETECTOR_NAMES = ("auto", "off")
_NULL_PIXELS = 32
_NULL_SAMPLE_RATE_HZ = 16_000


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """Which model to build and how to run it.

    Attributes:
        name: one of `model_names()`, or the path of a trained model.
        frames: the maximum number of frames per window; a trained model has its own number.
        window_ns: length of the windows.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        max_batch: the maximum number of windows per batch.
        threads: CPU threads per operation; None keeps the default of torch.
        encoder_devices: encoders that run on other devices, such as `video=cuda:1,text=cpu`.
        compiled: how a trained model runs on a CPU: `off` (eager), `export` or `aot`.
        runtime: what runs frozen networks on a CPU: `torch`, `openvino`, `onnxruntime`, or `auto`.
        cuda_graphs: whether frozen networks run as CUDA graphs on a GPU.
        precision: number format of frozen networks in OpenVINO: `float32` or `bfloat16`.
        detector: what finds objects beside the model: `auto` for objects and faces, `off`, or the source of a
            foundation model. Beside the null model, only the latter does.
        pictures: the maximum number of pictures per window for the detector; 0 for no detector.
        detector_labels: what a detector of an open vocabulary finds.
        detector_threshold: the lowest score of a detection of a foundation model; None for its default.
        foundation: the foundation models that run beside the model.
    """

    name: str
    frames: int
    window_ns: int
    device: str = "auto"
    max_batch: int = 8
    threads: int | None = None
    encoder_devices: str = ""
    compiled: Literal["off", "export", "aot"] = "off"
    runtime: Literal["auto", "torch", "openvino", "onnxruntime"] = "auto"
    cuda_graphs: bool = False
    precision: Literal["float32", "bfloat16"] = "float32"
    detector: str = "off"
    pictures: int = 1
    detector_labels: tuple[str, ...] = ()
    detector_threshold: float | None = None
    foundation: FoundationSources = NO_FOUNDATION


def build_model(choice: ModelChoice) -> Model:
    """Build the model, with its detector and the foundation models beside it, without warming it up.

    Raises:
        UsageError: the model, detector or device does not exist, or the pretrained weights were not downloaded.
    """
    _check_detector(choice)
    _check_model(choice)
    model = _build_with_detector(choice) if _wants_detector(choice) else _build_alone(choice)
    return _extended(model, choice) if choice.foundation.any else model


def _build_alone(choice: ModelChoice) -> Model:
    if choice.name == "null":
        return NullModel(InputSpec(choice.frames, _NULL_PIXELS, _NULL_PIXELS, _NULL_SAMPLE_RATE_HZ))
    if choice.name == "base":
        return _build_base(choice)
    return _build_trained(choice, _trained_path(choice.name))


def _trained_path(name: str) -> Path:
    """Return where a trained model is, by its path or the name of one that is part of the package."""
    if shipped := shipped_models().get(name):
        return Path(str(shipped))
    if not is_path(name):
        raise UsageError(
            f"no model is called {name!r}; there are: {', '.join(model_names())}, or the path of a trained one"
        )
    return Path(name)


def model_names() -> tuple[str, ...]:
    """Return the names of all models, including the trained models that are part of the package."""
    return (*_MODEL_NAMES, *shipped_models())


def _check_detector(choice: ModelChoice) -> None:
    if ":" in choice.detector:
        parse_model_source(choice.detector)
    elif choice.detector not in _DETECTOR_NAMES:
        raise UsageError(
            f"no detector is called {choice.detector!r}; there are: {', '.join(_DETECTOR_NAMES)}, or the source of a "
            f"foundation model, {SOURCE_FORMS} (model.detector)"
        )


def _check_model(choice: ModelChoice) -> None:
    """Check the name, and the card of a trained model: an error must not wait until the detector is built."""
    if choice.name not in _MODEL_NAMES:
        from triptych.models.checkpoints.card import read_card  # noqa: PLC0415 - as in `_build_base`
        from triptych.models.checkpoints.paths import checkpoint_files  # noqa: PLC0415

        path = _trained_path(choice.name)
        _check_card(read_card(checkpoint_files(path)[1]), choice)


def _wants_detector(choice: ModelChoice) -> bool:
    return choice.detector != "off" and bool(choice.pictures) and (choice.name != "null" or _is_foundation(choice))


def _is_foundation(choice: ModelChoice) -> bool:
    """Return whether the detector is a foundation model, which the null model may have too."""
    return ":" in choice.detector


def _build_with_detector(choice: ModelChoice) -> Model:
    """Build the model and its detector: side by side on a CPU, where half of the time is spent in native code."""
    from triptych.models.detection.detecting_model import DetectingModel  # noqa: PLC0415 - see `_options`
    from triptych.models.execution.device import choose_device  # noqa: PLC0415

    build = _build_foundation_detector if _is_foundation(choice) else _build_detector
    if choose_device(choice.device).type == "cpu":
        _set_threads(choice)  # before another thread asks for the number
        with ThreadPoolExecutor(1, "build-detector") as executor:
            building = executor.submit(build, choice)
            model = _build_alone(choice)
            detector = building.result()
    else:  # one after the other: nothing else may use a GPU while CUDA graphs are captured
        model = _build_alone(choice)
        detector = build(choice)
    return DetectingModel(model, detector, pictures=choice.pictures)


def _build_foundation_detector(choice: ModelChoice) -> Detector:
    from triptych.models.execution.device import choose_device  # noqa: PLC0415 - as above
    from triptych.models.foundation.detector_building import build_foundation_detector  # noqa: PLC0415

    return build_foundation_detector(
        choice.detector,
        choose_device(choice.device),
        labels=choice.detector_labels,
        threshold=choice.detector_threshold,
    )


def _build_detector(choice: ModelChoice) -> Detector:
    from triptych.models.detection.default_detector import build_default_detector  # noqa: PLC0415 - as above
    from triptych.models.execution.device import choose_device  # noqa: PLC0415

    return build_default_detector(choose_device(choice.device), _cpu_runtime(choice).accelerate)


def _cpu_runtime(choice: ModelChoice) -> CpuRuntime:
    from triptych.models.execution.conversion_cache import FOLDER, ConversionCache  # noqa: PLC0415 - as in `_options`
    from triptych.models.execution.cpu_runtime import CpuRuntime  # noqa: PLC0415

    return CpuRuntime(choice.runtime, choice.precision, ConversionCache(cache_folder() / FOLDER))


def _extended(model: Model, choice: ModelChoice) -> Model:
    from triptych.models.execution.device import choose_device  # noqa: PLC0415 - as in `_options`
    from triptych.models.foundation.extended_model import extend_model  # noqa: PLC0415

    _set_threads(choice)
    return extend_model(model, choice.foundation, choose_device(choice.device), window_ns=choice.window_ns)


def _build_base(choice: ModelChoice) -> Model:
    from triptych.models.base import build_base_model  # noqa: PLC0415 - imports torch, see `_options`

    return build_base_model(choice.frames, _options(choice), weights_folder=cache_folder())


def _build_trained(choice: ModelChoice, path: Path) -> Model:
    from triptych.models.checkpoints.checkpoint import load_checkpoint  # noqa: PLC0415 - as above
    from triptych.models.observed.observations import build_observer  # noqa: PLC0415
    from triptych.models.trained import build_trained_model  # noqa: PLC0415

    checkpoint = load_checkpoint(path, weights_folder=cache_folder())
    _check_card(checkpoint.card, choice)
    observer = build_observer(checkpoint.card.architecture.observed, weights_folder=cache_folder())
    return build_trained_model(checkpoint, _options(choice), observer)


def _check_card(card: Card, choice: ModelChoice) -> None:
    """Check that a trained model can be served with the worker's windows."""
    from triptych.models.checkpoints.card import require_media_input  # noqa: PLC0415 - as above

    require_media_input(card)
    trained_ms, ours_ms = card.input.window_ns // NS_PER_MS, choice.window_ns // NS_PER_MS
    if trained_ms != ours_ms:
        raise UsageError(
            f"{_trained_path(choice.name)}: the model was trained on windows of {trained_ms} ms, the worker's have "
            f"{ours_ms} ms; set --window-ms {trained_ms} (window.size_ms)"
        )


def _options(choice: ModelChoice) -> RunOptions:
    from triptych.models.execution.device import choose_device, log_device  # noqa: PLC0415 - imports torch, which the null model and the command line do not need
    from triptych.models.execution.placement import parse_encoder_devices  # noqa: PLC0415
    from triptych.models.execution.runtime import RunOptions  # noqa: PLC0415

    _set_threads(choice)
    elsewhere = {
        modality: choose_device(name) for modality, name in parse_encoder_devices(choice.encoder_devices).items()
    }
    device = choose_device(choice.device)
    log_device(device, choice.device)
    return RunOptions(
        device,
        choice.window_ns,
        choice.max_batch,
        encoder_devices=elsewhere,
        graph=None if choice.compiled == "off" else choice.compiled,
        graphs_folder=cache_folder(),
        cpu_runtime=_cpu_runtime(choice),
        cuda_graphs=choice.cuda_graphs,
    )


def _set_threads(choice: ModelChoice) -> None:
    """Set the number of CPU threads of torch, if the choice has one."""
    import torch  # noqa: PLC0415 - as in `_options`

    if choice.threads is not None:
        torch.set_num_threads(choice.threads)


def is_path(name: str) -> bool:
    """Return whether a name can only be a path, so that a misspelt model name is not reported as a missing file."""
    if name in model_names():
        return False
    return "/" in name or name.endswith((".json", ".safetensors")) or os.path.exists(name)  # noqa: PTH110 - Path.exists raises if a folder is closed to the user
