"""Build a model by its name: the one place that chooses."""

from __future__ import annotations

from dataclasses import dataclass

from triptych.schemas.errors import UsageError
from triptych.weights.cache import cache_folder
from triptych.worker.models.null import NullModel
from triptych.worker.models.protocol import InputSpec, Model

MODEL_NAMES = ("base", "null")
_NULL_PIXELS = 32
_NULL_SAMPLE_RATE_HZ = 16_000


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """Say which model to build, and how it is to run.

    Attributes:
        name: one of `MODEL_NAMES`.
        frames: so many pictures of each window at most.
        window_ns: length of the windows.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        max_batch: so many windows at once at most.
        threads: CPU threads for one operation; None leaves it to torch.
    """

    name: str
    frames: int
    window_ns: int
    device: str = "auto"
    max_batch: int = 8
    threads: int | None = None


def build_model(choice: ModelChoice) -> Model:
    """Build the model, not yet warm.

    Raises:
        UsageError: there is no such model or device, or the weights were never pulled.
    """
    if choice.name == "null":
        return NullModel(InputSpec(choice.frames, _NULL_PIXELS, _NULL_PIXELS, _NULL_SAMPLE_RATE_HZ))
    if choice.name == "base":
        return _build_base(choice)
    raise UsageError(f"no model is called {choice.name!r}; there are: {', '.join(MODEL_NAMES)}")


def _build_base(choice: ModelChoice) -> Model:
    import torch  # noqa: PLC0415 - the null model and the command line do without it

    from triptych.worker.models.base_model import build_base_model  # noqa: PLC0415
    from triptych.worker.models.runtime import RunOptions, choose_device  # noqa: PLC0415

    if choice.threads is not None:
        torch.set_num_threads(choice.threads)
    options = RunOptions(choose_device(choice.device), choice.window_ns, choice.max_batch)
    return build_base_model(choice.frames, options, weights_folder=cache_folder())
