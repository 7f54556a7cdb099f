"""Download a foundation model from the Hugging Face Hub, on a user's machine. A worker never does.

The files are stored with a manifest of their checksums, under a commit that is written down, so that what is loaded
later is what was pulled.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from triptych.models.foundation.files.manifest import MANIFEST_NAME, FileManifest, file_checksums, write_manifest
from triptych.models.foundation.files.model_files import OPEN_CLIP_CONFIG, TRANSFORMERS_CONFIG, pulled_folder
from triptych.models.foundation.files.model_source import ModelSource
from triptych.models.pretrained.download.cache import require_writable
from triptych.models.pretrained.download.package import PullError
from triptych.schemas.errors import UsageError

if TYPE_CHECKING:
    from types import ModuleType

FREE_LICENCES: Final = frozenset(
    {
        "apache-2.0",
        "bsd",
        "bsd-2-clause",
        "bsd-3-clause",
        "cc-by-3.0",
        "cc-by-4.0",
        "cc0-1.0",
        "isc",
        "mit",
        "unlicense",
    }
)
"""Licences that ask for no more than a notice, as the hub writes them. Any other must be accepted by name."""
UNKNOWN_LICENCE: Final = "unknown"
_SUFFIXES: Final = frozenset({".json", ".txt", ".model", ".jinja"})
_PICKLED_WEIGHTS: Final = frozenset({"pytorch_model.bin", "open_clip_pytorch_model.bin"})
_OTHER_FORMATS: Final = frozenset({"onnx", "openvino", "coreml", "flax", "original"})
_NO_CONTENT: Final = "the repository holds no weights that can be loaded without running code"


@dataclass(frozen=True, slots=True)
class Offer:
    """What a repository of the hub offers for a source.

    Attributes:
        source: the source with the commit, or with the tag of open_clip.
        repository: the repository.
        commit: the commit that will be downloaded.
        licence: the licence that the model card states, in lower case; `unknown` without one.
        files: the paths of the files that will be downloaded.
        size_bytes: their total size.
        checksums: the sha256 of files by path, as far as the hub knows them.
        config: what to write as the configuration of open_clip; None if the repository has it, or needs none.
    """

    source: ModelSource
    repository: str
    commit: str
    licence: str
    files: tuple[str, ...]
    size_bytes: int
    checksums: dict[str, str]
    config: dict[str, Any] | None = None

    @property
    def is_free(self) -> bool:
        """Return whether the licence is on the short list."""
        return self.licence in FREE_LICENCES


def find_offer(source: ModelSource) -> Offer:
    """Ask the hub what it offers for a source. Blocks for a network request or two.

    Raises:
        UsageError: the source is a folder, or open_clip lists no such model on the hub.
        PullError: the hub cannot be asked, or has no such model.
    """
    if source.kind == "folder":
        raise UsageError(f"{source}: a folder is on this machine already; there is nothing to download")
    config = None
    repository = source.name
    if source.kind == "open_clip":
        repository, config = _open_clip_repository(source)
    hub = _hub()
    try:
        info = hub.HfApi().model_info(
            repository, revision=source.revision or None if source.kind == "hf" else None, files_metadata=True
        )
    except (hub.errors.HTTPError, OSError, ValueError) as error:
        raise PullError(f"{source}: the hub does not answer for {repository}: {_first_line(error)}") from error
    by_name = {each.rfilename: each for each in info.siblings or ()}
    names = chosen_files(by_name, for_open_clip=source.kind == "open_clip")
    return Offer(
        source=ModelSource("hf", repository, info.sha) if source.kind == "hf" else source,
        repository=repository,
        commit=info.sha,
        licence=_licence(info),
        files=names,
        size_bytes=sum(by_name[name].size or 0 for name in names),
        checksums={name: by_name[name].lfs.sha256 for name in names if by_name[name].lfs is not None},
        config=None if OPEN_CLIP_CONFIG in names else config,
    )


def chosen_files(names: Iterable[str], *, for_open_clip: bool = False) -> tuple[str, ...]:
    """Return the files of a repository that a worker needs, in order: configurations, tokenizers and weights.

    Weights in safetensors are preferred. Those of `torch.save` are taken only without them, and read as tensors only.
    Files with code, of other libraries, and in reduced precision are left out.

    Raises:
        PullError: there are no weights.
    """
    kept = []
    for name in sorted(names):
        path = Path(name)
        if path.parts[0] in _OTHER_FORMATS or path.name.startswith(".") or path.name == MANIFEST_NAME:
            continue
        if path.suffix in _SUFFIXES or _is_weights(path):
            kept.append(name)
    weights = [name for name in kept if _is_weights(Path(name))]
    own = [name for name in weights if Path(name).name.startswith("open_clip") == for_open_clip] or weights
    safe = [name for name in own if name.endswith(".safetensors") or not _has_safetensors(own, Path(name).parent)]
    if not safe:
        raise PullError(f"{_NO_CONTENT}; there are: {', '.join(sorted(names)) or 'no files'}")
    # The configuration of transformers would make the folder look like one of its models.
    hidden = {TRANSFORMERS_CONFIG} if for_open_clip else {OPEN_CLIP_CONFIG}
    return tuple(name for name in kept if (name not in weights or name in safe) and name not in hidden)


def pull_model(offer: Offer, cache: Path, report: Callable[[str], None]) -> Path:
    """Download what a repository offers, verify it, write its manifest, and return its folder.

    Returns at once if the folder exists. A partial download is never seen under the final name.

    Args:
        offer: what to download; the caller has asked whether its licence is accepted.
        cache: the cache folder; created if it does not exist.
        report: called with a short description of each step.

    Raises:
        PullError: the download failed, or a file does not match the checksum that the hub states.
        UsageError: this user cannot write to the folder.
    """
    folder = pulled_folder(offer.source, cache)
    if folder.exists():
        return folder
    require_writable(cache)
    folder.parent.mkdir(parents=True, exist_ok=True)
    hub = _hub()
    with tempfile.TemporaryDirectory(prefix=".partial-", dir=folder.parent) as scratch:
        partial = Path(scratch) / folder.name
        report(f"downloading {len(offer.files)} files")
        try:
            for name in offer.files:
                hub.hf_hub_download(offer.repository, name, revision=offer.commit, local_dir=partial)
        except (hub.errors.HTTPError, hub.errors.EntryNotFoundError, OSError, ValueError) as error:
            raise PullError(f"{offer.source}: the download failed: {_first_line(error)}") from error
        shutil.rmtree(partial / ".cache", ignore_errors=True)  # the hub client's own notes
        if offer.config is not None:
            (partial / OPEN_CLIP_CONFIG).write_text(json.dumps(offer.config, indent=2), encoding="utf-8")
        report("checking")
        files = file_checksums(partial)
        for name, expected in offer.checksums.items():
            if files.get(name) != expected:
                raise PullError(f"{offer.source}: {name}: expected sha256 {expected}, got {files.get(name)}")
        write_manifest(
            FileManifest(source=str(offer.source), revision=offer.commit, licence=offer.licence, files=files), partial
        )
        partial.rename(folder)
    return folder


def _hub() -> ModuleType:
    """Return the client of the hub, which must be online here."""
    try:
        import huggingface_hub  # noqa: PLC0415 - slow to import
        import huggingface_hub.errors  # noqa: PLC0415
    except ImportError as error:
        raise UsageError(
            f"pulling a foundation model needs the package huggingface_hub ({error}): "
            "pip install 'triptych[foundation]'"
        ) from error
    return huggingface_hub


def _open_clip_repository(source: ModelSource) -> tuple[str, dict[str, Any]]:
    """Return the repository of a pretrained model of open_clip, and its configuration."""
    try:
        import open_clip  # noqa: PLC0415 - slow to import
    except ImportError as error:
        raise UsageError(f"{source} needs the package open_clip_torch: pip install 'triptych[foundation]'") from error
    entry = open_clip.get_pretrained_cfg(source.name, source.revision)
    model = open_clip.get_model_config(source.name)
    if not entry or model is None:
        tags = ", ".join(open_clip.list_pretrained_tags_by_model(source.name)) or "none"
        raise UsageError(f"{source}: open_clip lists no such weights; tags of {source.name}: {tags}")
    where = str(entry.get("hf_hub") or "").strip("/").split("/")
    owner_and_name = 2
    if len(where) < owner_and_name:
        raise UsageError(f"{source}: open_clip lists these weights, but not on the Hugging Face Hub")
    names = ("mean", "std", "interpolation", "resize_mode")
    preprocess = {name: entry[name] for name in names if name in entry}
    return "/".join(where[:owner_and_name]), {"model_cfg": model, "preprocess_cfg": preprocess}


def _is_weights(path: Path) -> bool:
    if path.suffix == ".safetensors":
        return len(path.suffixes) == 1 or not path.suffixes[0].startswith((".fp", ".bf"))
    return path.name in _PICKLED_WEIGHTS


def _has_safetensors(names: Iterable[str], folder: Path) -> bool:
    """Return whether a folder has weights in safetensors. A model of several modules has one for each."""
    return any(name.endswith(".safetensors") and Path(name).parent == folder for name in names)


def _licence(info: Any) -> str:  # noqa: ANN401 - an object of the hub client
    stated = getattr(info.card_data, "license", None) if info.card_data is not None else None
    if isinstance(stated, list):
        stated = ", ".join(map(str, stated))
    if not stated:
        stated = next((tag.partition(":")[2] for tag in info.tags or () if tag.startswith("license:")), None)
    return str(stated or UNKNOWN_LICENCE).lower()


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
