"""Remember which runtime was chosen for a network on this machine, so that later starts need not choose again.

A choice takes most of the time of loading a network: each runtime runs it, is compared with torch, and is measured. It
holds for the same network, code, versions, threads and processor, and for a week at most: it may have been made while
other programs used the processor.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import tempfile
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Annotated, Final, Literal

import structlog
import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import nn

_MAX_AGE_S: Final = 7 * 24 * 3_600
_CPU_LINES: Final = ("model name", "flags", "CPU implementer", "CPU part", "Features")
"""The lines of `/proc/cpuinfo` that tell one kind of processor from another."""
_MACHINE: Final = ("processor", "cpus", "threads")
"""What `choice_key` has of the machine. Machines that share a folder keep their choices side by side."""
_CODE: Final = Path(__file__).parents[1]
_KIND_DIGITS: Final = 8
_STATED: Final = (bool, int, float, str, bytes, type(None))

_log = structlog.get_logger(__name__)


class RuntimeChoice(BaseModel):
    """What was chosen for a network, and why.

    Attributes:
        runtime: what runs it.
        difference: largest difference of that runtime's outputs to torch's, relative to the largest output.
        took_ms: how long each runtime took, by name; empty if nothing was measured.
        conversion_sha256: checksum of the conversion that was compared (`parts_sha256`); None for torch.
        chosen_at_s: when it was chosen, in seconds since 1970.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    runtime: Literal["torch", "openvino", "onnxruntime"]
    difference: Annotated[float, Field(ge=0)]
    took_ms: dict[str, Annotated[float, Field(ge=0)]]
    conversion_sha256: str | None
    chosen_at_s: float


class _File(BaseModel):
    """The content of a file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    depends_on: str
    choice: RuntimeChoice


class RememberedChoice:
    """The choice for one network on one kind of machine, in a file of the folder that also has its conversions.

    Args:
        folder: the folder; without one, nothing is remembered.
        name: name of the network; that of the file begins with it.
        depends_on: everything that the choice depends on (`choice_key`).
    """

    def __init__(self, folder: Path | None, name: str, depends_on: Mapping[str, object]) -> None:
        machine = json.dumps([depends_on.get(part) for part in _MACHINE])
        kind = hashlib.sha256(machine.encode()).hexdigest()[:_KIND_DIGITS]
        self._path = None if folder is None else folder / f"{name}.{kind}.choice.json"
        self._depends_on = json.dumps(depends_on, sort_keys=True)

    def read(self) -> RuntimeChoice | None:
        """Return the choice, or None if it is missing, damaged, not of the last week or made for something else."""
        if self._path is None:
            return None
        try:
            content = _File.model_validate_json(self._path.read_bytes())
        except (OSError, ValidationError):
            return None
        is_recent = 0 <= time.time() - content.choice.chosen_at_s <= _MAX_AGE_S
        return content.choice if is_recent and content.depends_on == self._depends_on else None

    def write(self, choice: RuntimeChoice) -> None:
        """Remember a choice in place of the earlier one. If the folder cannot be written, the log says so."""
        if self._path is None:
            return
        content = _File(depends_on=self._depends_on, choice=choice).model_dump_json()
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=self._path.parent) as partial:
                written = Path(partial) / self._path.name
                written.write_text(content, encoding="utf-8")
                written.replace(self._path)
        except OSError as error:
            _log.info("runtime_choice_not_kept", path=str(self._path), reason=str(error))


def choice_key(network: nn.Module, conversions: Sequence[Mapping[str, object]], **options: object) -> dict[str, object]:
    """Return what a choice depends on, beside the network's parameters.

    Args:
        network: the network.
        conversions: what the conversion to each candidate depends on (`conversion_key`).
        options: settings that decide.
    """
    return {
        "conversions": list(conversions),
        "constants_sha256": _constants_sha256(network),
        "code_sha256": _code_sha256(),
        "threads": torch.get_num_threads(),
        "cpus": os.cpu_count(),
        "processor": _processor(),
        **options,
    }


def _constants_sha256(network: nn.Module) -> str:
    """Return a checksum over the constants of all modules that are no parameters, such as strides and factors."""
    digest = hashlib.sha256()
    for name, module in network.named_modules():
        constants = {key: value for key, value in vars(module).items() if _is_stated(value)}
        digest.update(f"{name} {type(module).__qualname__} {sorted(constants.items())}\n".encode())
    return digest.hexdigest()


def _is_stated(value: object) -> bool:
    """Return whether a value says all that it is when it is printed."""
    return isinstance(value, _STATED) or (isinstance(value, tuple) and all(map(_is_stated, value)))


@cache
def _code_sha256() -> str:
    """Return a checksum over the code of `triptych.models`."""
    digest = hashlib.sha256()
    for path in sorted(_CODE.rglob("*.py")):
        digest.update(f"{path.relative_to(_CODE)}\n".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


@cache
def _processor() -> str:
    """Return the kind of processor and its instructions."""
    kind = [platform.machine(), platform.processor()]
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:  # not Linux
        lines = []
    for wanted in _CPU_LINES:
        kind += [line for line in lines if line.partition(":")[0].strip() == wanted][:1]
    return " ".join(" ".join(kind).split())
