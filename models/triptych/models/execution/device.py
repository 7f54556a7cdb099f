"""Which device a model runs on, and why not on a GPU."""

from __future__ import annotations

import structlog
import torch

from triptych.schemas.errors import UsageError

_log = structlog.get_logger(__name__)


def choose_device(name: str) -> torch.device:
    """Return the device that a setting names; `auto` selects a GPU if there is one.

    Raises:
        UsageError: the device does not exist on this machine.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UsageError(f"device {name!r} is unknown; expected auto, cpu, cuda or cuda:N") from error
    if device.type not in {"cpu", "cuda"}:
        raise UsageError(f"device {name!r} is not supported; expected auto, cpu, cuda or cuda:N")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        reason = why_no_gpu() or f"{torch.cuda.device_count()} GPUs found"
        raise UsageError(f"device {name!r} does not exist ({reason}); use auto or cpu")
    return device


def why_no_gpu() -> str | None:
    """Return why PyTorch can use no GPU (built without CUDA, no driver, no GPU found), or None if it can use one."""
    if torch.cuda.is_available():
        return None
    if torch.version.cuda is None:
        return f"PyTorch {torch.__version__} is built without CUDA"
    try:
        torch.cuda.init()  # type: ignore[no-untyped-call]
    except RuntimeError as error:
        return str(error).strip().split(". ")[0].rstrip(".")
    return "PyTorch finds no GPU"


def log_device(device: torch.device, name: str) -> None:
    """Log which device was chosen for a setting, and why it is no GPU if the setting allowed one."""
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        _log.info("device_chosen", device=str(device), setting=name, gpu=properties.name)
    elif name == "auto":
        _log.info("device_chosen", device=str(device), setting=name, why_no_gpu=why_no_gpu())
    else:
        _log.info("device_chosen", device=str(device), setting=name)
