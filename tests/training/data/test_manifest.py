"""Manifests are written and read, splits are by group, and mistakes are reported."""

from __future__ import annotations

from pathlib import Path

import pytest

from triptych.schemas.errors import UsageError
from triptych.training.data.manifest import (
    Item,
    Labels,
    Manifest,
    TimedText,
    read_manifest,
    split_of,
    write_manifest,
)
from triptych.training.data.manifest_sources import manifest_of_folder, manifest_of_table

LABELS = Labels(name="moods", labels=("bad", "good"))


def item(name: str, **changes: object) -> Item:
    """Return an item with a group of its own in the training split."""
    return Item.model_validate(
        {"id": name, "split": "train", "group": name, "clip": f"{name}.mkv", "label": 0} | changes
    )


def test_a_manifest_survives_a_round_trip(tmp_path: Path) -> None:
    """Every field, including text and missing modalities."""
    apart = item("b", clip=None, video="b.mp4", text=(TimedText(t0=0.5, t1=1, text="你好"),), t0=1.5, t1=3)
    manifest = Manifest(tmp_path, LABELS, (item("a"), apart, item("c", label=1, label_per_modality={"video": 0})))
    write_manifest(manifest)
    assert read_manifest(tmp_path) == manifest


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ([item("a"), item("a", group="b")], "1 ids occur twice: a"),
        (
            [item("a", group="x"), item("b", group="x", split="test"), item("c", group="x", split="validation")],
            "1 groups are in several splits.*: x$",
        ),
        ([item("a", label=2)], "1 items have labels that do not fit labels.json: a"),
        ([item("a", label=(0, 1))], "labels that do not fit"),
        ([item("a", label=0.5)], "labels that do not fit"),
        ([item("a", label_per_modality={"audio": 7})], "labels that do not fit"),
    ],
)
def test_an_inconsistent_manifest_is_rejected(tmp_path: Path, items: list[Item], message: str) -> None:
    """However it was made."""
    with pytest.raises(UsageError, match=message):
        Manifest(tmp_path, LABELS, tuple(items))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"id": "a"}', "line 2: split: Field required"),
        ('{"id": "a", "split": "dev", "group": "a", "clip": "a", "label": 0}', "line 2: split: .*'train'"),
        ('{"id": "a", "split": "test", "group": "a", "label": 0}', "line 2: .*either clip, or any of video"),
        ('{"id": "a", "split": "test", "group": "a", "clip": "a", "audio": "a", "label": 0}', "line 2: .*either clip"),
        ('{"id": "a", "split": "test", "group": "a", "clip": "a", "label": 0, "lable": 1}', "line 2: lable: Extra"),
        ('{"id": "a", "split": "test", "group": "a", "clip": "a", "label": 0, "t0": 2, "t1": 1}', "line 2: .*after t0"),
    ],
)
def test_an_invalid_line_is_reported(tmp_path: Path, line: str, message: str) -> None:
    """With its number and what was expected."""
    write_manifest(Manifest(tmp_path, LABELS, (item("first"),)))
    with (tmp_path / "manifest.jsonl").open("a") as file:
        file.write(line + "\n")
    with pytest.raises(UsageError, match=message):
        read_manifest(tmp_path)


def test_a_folder_without_a_manifest_is_rejected(tmp_path: Path) -> None:
    """The message names the files of a manifest."""
    with pytest.raises(UsageError, match=r"expected labels\.json and manifest\.jsonl"):
        read_manifest(tmp_path)


def test_the_split_of_a_group_depends_on_its_name_only() -> None:
    """In roughly the intended shares."""
    splits = [split_of(f"speaker {number}") for number in range(2_000)]
    assert splits == [split_of(f"speaker {number}") for number in range(2_000)]
    assert splits.count("train") / 2_000 == pytest.approx(0.6, abs=0.04)
    assert splits.count("test") / 2_000 == pytest.approx(0.25, abs=0.04)


def test_folders_name_labels_and_splits(tmp_path: Path) -> None:
    """The prefix of a file name is its group. Subtitles and hidden files are not clips."""
    for name in (
        "train/good/ann__1.mkv", "train/good/ann__2.mkv", "train/good/ann__2.srt", "test/bad/bob__1.mp4",
        "test/bad/.DS_Store",
    ):  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    manifest = manifest_of_folder(tmp_path)
    assert manifest.labels.labels == ("bad", "good")
    assert [(item.clip, item.split, item.group, item.label) for item in manifest.items] == [
        ("test/bad/bob__1.mp4", "test", "bob", 0),
        ("train/good/ann__1.mkv", "train", "ann", 1),
        ("train/good/ann__2.mkv", "train", "ann", 1),
    ]


def test_a_folder_without_splits_is_split_by_group(tmp_path: Path) -> None:
    """Clips of one group stay together, whatever their labels."""
    for name in ("good/ann__1.mkv", "bad/ann__2.mkv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert {item.split for item in manifest_of_folder(tmp_path).items} == {split_of("ann")}


def test_a_folder_with_another_layout_is_rejected(tmp_path: Path) -> None:
    """Nothing is guessed."""
    (tmp_path / "clip.mkv").touch()
    with pytest.raises(UsageError, match="expected LABEL/CLIP"):
        manifest_of_folder(tmp_path)


def test_a_table_lists_parts_of_clips_with_text(tmp_path: Path) -> None:
    """Missing columns have defaults. A text replaces the clip's own subtitles."""
    table = tmp_path / "moods.csv"
    table.write_text(
        "path,label,split,group,start,end,text\na.mp4,good,train,ann,0,2.5,how nice\na.mp4,bad,train,ann,2.5,,\n"
    )
    first, second = manifest_of_table(table).items
    assert (first.video, first.audio, first.clip, first.t1) == ("a.mp4", "a.mp4", None, 2.5)
    assert first.text == (TimedText(t0=0, t1=2.5, text="how nice"),)
    assert (second.clip, second.t0, second.t1, second.label) == ("a.mp4", 2.5, None, 0)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("file,label\na,b\n", "expected rows with the columns path"),
        ("path,label,split\na.mp4,good,dev\n", "line 2: .*split"),
        ("path,label,start\na.mp4,good,soon\n", "line 2: could not convert"),
    ],
)
def test_an_invalid_table_is_rejected(tmp_path: Path, content: str, message: str) -> None:
    """The message names the line."""
    (tmp_path / "t.csv").write_text(content)
    with pytest.raises(UsageError, match=message):
        manifest_of_table(tmp_path / "t.csv")
