"""Speech recognition models are assembled from verified parts. The package index is local."""

from __future__ import annotations

import hashlib
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from triptych.models.pretrained.download.package import PackagedFile, PullError
from triptych.models.pretrained.download.speech_to_text import (
    SPEECH_MODELS,
    SpeechModel,
    has_speech_model,
    pull_speech_model,
    require_speech_model,
)
from triptych.schemas.errors import UsageError

PARTS = {"ear-part1": {"ear/model.1": b"one, ", "ear/config.json": b"{}"}, "ear-part2": {"ear/model.2": b"two"}}


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SpeechModel:
    """Return a model whose weights are in two packages, which only pip can find."""
    index = tmp_path / "index"
    index.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    for package, members in PARTS.items():
        name = package.replace("-", "_")
        with zipfile.ZipFile(index / f"{name}-1.0-py3-none-any.whl", "w") as wheel:
            for member, content in members.items():
                wheel.writestr(member, content)
            metadata = f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n"
            wheel.writestr(f"{name}-1.0.dist-info/METADATA", metadata)
            wheel.writestr(
                f"{name}-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
            )
            wheel.writestr(f"{name}-1.0.dist-info/RECORD", "")
    first, config, second = (
        PackagedFile(package, "1.0", member, hashlib.sha256(content).hexdigest())
        for package, members in PARTS.items()
        for member, content in members.items()
    )
    files = {"model.bin": (first, second), "config.json": (config,)}
    return SpeechModel(name="ear", licence="CC0-1.0", is_multilingual=False, files=files)


def quiet(_step: str) -> None:
    """Ignore progress reports."""


def test_parts_of_several_packages_are_joined(
    model: SpeechModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each package is downloaded once, only the folder remains, and a truncated file is detected."""
    steps: list[str] = []
    cache = tmp_path / "cache"
    path = pull_speech_model(model, cache, steps.append)
    assert steps == ["downloading ear-part1==1.0", "checking", "downloading ear-part2==1.0", "checking"]
    assert [folder.name for folder in cache.iterdir()] == [path.name]
    assert (path / "model.bin").read_bytes() == b"one, two"
    assert (path / "config.json").read_bytes() == b"{}"

    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "nowhere"))
    assert pull_speech_model(model, cache, quiet) == require_speech_model(model, cache) == path
    (path / "model.bin").write_bytes(b"one")
    assert not has_speech_model(model, cache)
    with pytest.raises(UsageError, match="triptych models pull ear"):
        require_speech_model(model, cache)


def test_a_part_with_a_wrong_checksum_is_rejected(model: SpeechModel, tmp_path: Path) -> None:
    """Nothing of a download with a wrong checksum is kept."""
    (first, second), cache = model.files["model.bin"], tmp_path / "cache"
    other = replace(model, files={**model.files, "model.bin": (first, replace(second, sha256="0" * 64))})
    with pytest.raises(PullError, match=r"ear/model.2 of ear-part2==1.0: expected sha256 0000"):
        pull_speech_model(other, cache, quiet)
    assert not list(cache.iterdir())


@pytest.mark.parametrize("model", SPEECH_MODELS, ids=lambda model: model.name)
def test_all_files_of_every_model_are_pinned(model: SpeechModel) -> None:
    """All files that are read are pinned, so nothing else is downloaded at run time."""
    assert {"model.bin", "config.json", "tokenizer.json", "vocabulary.txt"} == model.files.keys()
    assert all(len(part.sha256) == 64 and part.version for parts in model.files.values() for part in parts)
