"""Sources, files and manifests. None of these tests needs the libraries of the extra."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from triptych.models.foundation.files.manifest import (
    MANIFEST_NAME,
    FileManifest,
    combined_checksum,
    file_checksums,
    write_manifest,
)
from triptych.models.foundation.files.model_files import find_model_files, pulled_folder, pulled_models
from triptych.models.foundation.files.model_source import ModelSource, parse_model_source
from triptych.schemas.errors import UsageError

COMMIT = "75de2d55ec2d0b4efc50b3e9ad70dba96a7b2fa2"


@pytest.mark.parametrize(
    ("text", "source"),
    [
        (f"hf:google/siglip2-base-patch16-224@{COMMIT}", ModelSource("hf", "google/siglip2-base-patch16-224", COMMIT)),
        ("hf:gpt2@main", ModelSource("hf", "gpt2", "main")),
        ("hf:google/siglip", ModelSource("hf", "google/siglip")),
        ("open_clip:ViT-B-32/laion2b_s34b_b79k", ModelSource("open_clip", "ViT-B-32", "laion2b_s34b_b79k")),
        ("folder:/models/my siglip", ModelSource("folder", "/models/my siglip")),
        ("folder:tiny", ModelSource("folder", "tiny")),
    ],
)
def test_a_source_is_parsed_and_written_back(text: str, source: ModelSource) -> None:
    """A source is parsed and written back."""
    assert parse_model_source(text) == source
    assert str(source) == text


@pytest.mark.parametrize(
    "text",
    [
        "siglip",
        "google/siglip",
        "http://example.org/model",
        "folder:",
        "hf:",
        "hf:a/b/c@main",
        "hf:../secret@main",
        "hf:a/b@",
        "hf:a/b@../x",
        "open_clip:ViT-B-32",
        "open_clip:ViT-B-32/",
        "open_clip:/tag",
        "open_clip:a/b/c",
    ],
)
def test_a_malformed_source_is_refused_with_the_forms_that_there_are(text: str) -> None:
    """A malformed source is refused with the forms that there are."""
    with pytest.raises(UsageError, match=r"source of a model: expected .*(hf:ID@REVISION|NAME/TAG|a path)") as raised:
        parse_model_source(text)
    assert repr(text) in str(raised.value)


def make_folder(folder: Path) -> Path:
    """Write the files of a model that no library could load."""
    (folder / "tokenizer").mkdir(parents=True)
    (folder / "config.json").write_text('{"model_type": "siglip"}')
    (folder / "model.safetensors").write_bytes(b"weights")
    (folder / "tokenizer" / "vocab.txt").write_text("a b")
    (folder / "README.md").write_text("about")
    (folder / ".cache").mkdir()
    (folder / ".cache" / "note").write_text("x")
    return folder


def test_the_checksum_covers_names_and_contents_of_what_is_loaded(tmp_path: Path) -> None:
    """The checksum covers names and contents of what is loaded."""
    folder = make_folder(tmp_path / "model")
    before = find_model_files(f"folder:{folder}").sha256
    (folder / "README.md").write_text("another page")
    (folder / ".cache" / "note").write_text("y")
    assert find_model_files(f"folder:{folder}").sha256 == before
    (folder / "tokenizer" / "vocab.txt").write_text("b a")
    changed = find_model_files(f"folder:{folder}").sha256
    (folder / "tokenizer" / "vocab.txt").rename(folder / "vocab.txt")
    assert len({before, changed, find_model_files(f"folder:{folder}").sha256}) == 3


@pytest.mark.parametrize("change", ["change", "add", "remove"])
def test_files_that_differ_from_the_manifest_are_refused(tmp_path: Path, change: str) -> None:
    """Files that differ from the manifest are refused."""
    folder = make_folder(tmp_path / "model")
    files = file_checksums(folder)
    write_manifest(FileManifest(source="hf:a/b@c", revision=COMMIT, licence="mit", files=files), folder)
    assert find_model_files(f"folder:{folder}").sha256 == combined_checksum(files)
    if change == "change":
        (folder / "model.safetensors").write_bytes(b"weight5")
    elif change == "add":
        (folder / "added_tokens.json").write_text("{}")
    else:
        (folder / "model.safetensors").unlink()
    name = "added_tokens.json" if change == "add" else "model.safetensors"
    with pytest.raises(UsageError, match=f"expected the files of hf:a/b@c as they were pulled, but {name} differ"):
        find_model_files(f"folder:{folder}")


def test_a_pulled_model_is_found_in_the_cache_by_its_commit_or_a_part_of_it(tmp_path: Path) -> None:
    """A pulled model is found in the cache by its commit or a part of it."""
    source = ModelSource("hf", "google/siglip", COMMIT)
    folder = make_folder(pulled_folder(source, tmp_path))
    write_manifest(
        FileManifest(source=str(source), revision=COMMIT, licence="mit", files=file_checksums(folder)), folder
    )
    assert find_model_files(source, cache=tmp_path).folder == folder
    assert find_model_files(f"hf:google/siglip@{COMMIT[:7]}", cache=tmp_path).folder == folder
    assert [manifest.source for manifest in pulled_models(tmp_path)] == [str(source)]
    (folder / MANIFEST_NAME).unlink()
    assert pulled_models(tmp_path) == []
    with pytest.raises(UsageError, match="pull again: triptych models pull hf:google/siglip@"):
        find_model_files(source, cache=tmp_path)


def test_a_model_that_is_not_here_names_the_command_that_pulls_it(tmp_path: Path) -> None:
    """A model that is not here names the command that pulls it."""
    with pytest.raises(UsageError, match=f"run triptych models pull hf:google/siglip@{COMMIT}"):
        find_model_files(f"hf:google/siglip@{COMMIT}", cache=tmp_path)
    with pytest.raises(UsageError, match="expected a commit after @, got 'main': a branch may change"):
        find_model_files("hf:google/siglip@main", cache=tmp_path)
    with pytest.raises(UsageError, match="expected a folder, found none"):
        find_model_files(f"folder:{tmp_path / 'none'}")
    with pytest.raises(UsageError, match=r"expected the files of a model with one of config\.json"):
        find_model_files(f"folder:{tmp_path}")


def test_the_architecture_is_that_of_the_configuration(tmp_path: Path) -> None:
    """The architecture is that of the configuration."""
    folder = make_folder(tmp_path / "model")
    assert find_model_files(f"folder:{folder}").architecture == "siglip"
    (folder / "config.json").write_text(json.dumps({"architecture": "vit"}))  # as timm writes it
    (folder / "open_clip_config.json").write_text("{}")
    assert find_model_files(f"folder:{folder}").architecture == "open_clip"
    (folder / "modules.json").write_text("[]")
    assert find_model_files(f"folder:{folder}").architecture == "sentence_transformers"
    (folder / "config.json").write_text("[]")
    with pytest.raises(UsageError, match=r"config\.json: expected an object, got list"):
        find_model_files(f"folder:{folder}")
