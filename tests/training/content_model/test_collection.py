"""Stamps are read with their captions and sounds, and variants of a motif are recognised."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from triptych.schemas.errors import UsageError
from triptych.training.content_model.collection import LEAST_OF_A_LABEL, Stamp, read_stamps
from triptych.training.content_model.windows import manifest_of_stamps, on_paper

_ANIMALS = ("apple", "bear", "crow", "dingo", "emu", "fox", "gnu", "hen", "ibis", "jay", "kiwi", "lion")


def test_a_folder_is_a_label_and_captions_are_read_by_language(tmp_path: Path) -> None:
    """Only in the encoder's languages, and only labels with enough pictures."""
    stamps = _collection(tmp_path)

    assert {stamp.label for stamp in stamps} == {"animals"}
    crow = _by_name(stamps)["crow"]
    assert crow.captions == {"en": "A crow.", "de": "crow auf Deutsch", "zh": "crow 中文"}
    assert crow.sound == tmp_path / "animals" / "crow.ogg"
    assert _by_name(stamps)["fox"].sound is None


def test_variants_share_a_motif(tmp_path: Path) -> None:
    """They share words of the file name, apart from numbers and colours, or a caption. Others are separate motifs."""
    named = _by_name(_collection(tmp_path))

    assert named["apple"].motif == named["apple_red"].motif == named["apple-2"].motif
    assert named["fox"].motif == named["vixen"].motif  # the same caption
    assert named["fox"].motif != named["lion"].motif


def test_a_motif_is_named_after_its_first_stamp(tmp_path: Path) -> None:
    """Folds depend on the names, so the order in which words are compared must not change them."""
    first: dict[str, str] = {}
    for stamp in _collection(tmp_path, "lion_bear", "emu_bear"):
        assert first.setdefault(stamp.motif, stamp.id) == stamp.motif
    assert "animals/lion" not in first


def test_a_manifest_keeps_motifs_in_one_split(tmp_path: Path) -> None:
    """Pictures are on white background in the manifest's folder, with English captions and available sounds."""
    manifest = manifest_of_stamps(_collection(tmp_path / "stamps"), tmp_path / "out")

    assert manifest.labels.labels == ("animals",)
    split_by_group: dict[str, str] = {}
    for item in manifest.items:
        assert split_by_group.setdefault(item.group, item.split) == item.split
    crow = next(item for item in manifest.items if item.id == "animals/crow")
    assert crow.text is not None
    assert (crow.text[0].text, Path(crow.audio or "").name) == ("A crow.", "crow.ogg")
    picture = cv2.imread(str(tmp_path / "out" / str(crow.video)))
    assert picture is not None
    assert picture[0, 0].tolist() == [255, 255, 255]


def test_transparent_pixels_become_white() -> None:
    """Whatever their hidden colour. Half-transparent pixels are blended."""
    picture = np.array([[[0, 0, 0, 0], [10, 20, 30, 255], [0, 0, 0, 128]]], np.uint8)

    assert on_paper(picture).tolist() == [[[255, 255, 255], [10, 20, 30], [127, 127, 127]]]
    assert on_paper(np.full((1, 1), 65_535, np.uint16)).tolist() == [[[255, 255, 255]]]


def test_a_folder_without_stamps_is_rejected(tmp_path: Path) -> None:
    """The message says where to get them."""
    with pytest.raises(UsageError, match="apt-get install tuxpaint-stamps-default"):
        read_stamps(tmp_path)


def _collection(folder: Path, *others: str) -> tuple[Stamp, ...]:
    captions = dict.fromkeys((*_ANIMALS, "apple_red", "apple-2", *others), "")
    captions = {name: f"A {name}." for name in captions} | {"vixen": "A fox."}
    assert len(captions) >= LEAST_OF_A_LABEL
    for name, caption in captions.items():
        _write(folder / "animals" / name, caption)
    (folder / "animals" / "crow.ogg").touch()
    _write(folder / "medical" / "pill", "A pill.")
    return read_stamps(folder)


def _write(path: Path, caption: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = (
        caption,
        f"de.utf8={path.name} auf Deutsch",
        f"zh_CN.utf8={path.name} 中文",
        "ach.utf8=unknown",
        "ja.utf8=",
    )
    path.with_suffix(".txt").write_text("\n".join(lines), encoding="utf-8")
    cv2.imwrite(str(path.with_suffix(".png")), np.zeros((4, 4, 4), np.uint8))


def _by_name(stamps: tuple[Stamp, ...]) -> dict[str, Stamp]:
    return {stamp.id.rpartition("/")[2]: stamp for stamp in stamps}
