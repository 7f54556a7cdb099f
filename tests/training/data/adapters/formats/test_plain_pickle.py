"""Pickles of features are converted without running their code."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from triptych.schemas.errors import UsageError
from triptych.training.data.adapters.conversion import convert
from triptych.training.data.adapters.formats.plain_pickle import read_plain_pickle
from triptych.training.data.feature_files import read_features
from triptych.training.data.manifest import FeatureArrays, read_manifest, write_manifest


def split(names: list[str]) -> dict[str, Any]:
    """One split in MMSA's format."""
    count = len(names)
    noise = np.random.default_rng(count)
    return {
        "raw_text": np.array([f"text of {name}" for name in names], object),
        "audio": noise.normal(size=(count, 7, 5)),
        "vision": noise.normal(size=(count, 6, 20)).astype(np.float32),
        "text": noise.normal(size=(count, 4, 8)).astype(np.float32),
        "id": names,
        "audio_lengths": [3] * count,
        "vision_lengths": np.full(count, 9),
        "annotations": ["Positive"] * count,
        "regression_labels": noise.uniform(-3, 3, count).astype(np.float32),
        "regression_labels_T": np.full(count, 0.5, np.float32),
    }


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_features_are_written_and_referenced(tmp_path: Path, protocol: int) -> None:
    """Arrays are unchanged except non-finite numbers; lengths, text and labels are read; all common protocols work."""
    splits = {
        "train": split(["a$_$1", "a$_$2"]),
        "valid": split(["b$_$1"]) | {"id": np.array(["b$_$1"])},
        "test": split(["c$_$1"]),
    }
    splits["train"]["audio"][0, 1, 1] = -np.inf
    file = tmp_path / "unaligned_50.pkl"
    file.write_bytes(pickle.dumps(splits, protocol))
    conversion = convert("mosi", file, tmp_path / "to")
    write_manifest(conversion.manifest)
    items = read_manifest(tmp_path / "to").items
    assert [(item.id, item.group, item.split) for item in items] == [
        ("a/1", "a", "train"), ("a/2", "a", "train"), ("b/1", "b", "validation"), ("c/1", "c", "test"),
    ]  # fmt: skip
    second = items[1]
    assert second.label == pytest.approx(splits["train"]["regression_labels"][1])
    assert second.label_per_modality == {"text": 0.5}
    assert second.text is not None
    assert second.text[0].text == "text of a$_$2"
    assert second.features is not None
    audio = read_features(second.features["audio"], tmp_path / "to")
    assert audio.dtype == np.float32
    assert np.array_equal(audio, splits["train"]["audio"][1, :3].astype(np.float32))
    assert read_features(second.features["video"], tmp_path / "to").shape == (6, 20)
    assert read_features(second.features["text"], tmp_path / "to").shape == (4, 8)
    assert conversion.problems == ("train: 1 numbers of audio are not finite: now 0",)


def test_an_array_of_another_length_is_reported(tmp_path: Path) -> None:
    """It is not matched to ids that may not belong to it."""
    wrong = split(["a$_$1", "a$_$2"]) | {"audio": np.zeros((1, 7, 5)), "raw_text": ["one"]}
    file = tmp_path / "mosi.pkl"
    file.write_bytes(pickle.dumps({"train": wrong, "test": split(["b$_$1"])}))
    conversion = convert("mosi", file, tmp_path / "to")
    first = conversion.manifest.items[0]
    assert first.text is None
    assert set(first.features or ()) == {"video", "text"}
    assert conversion.problems[0] == "train: no array of audio [2, T, D]"


@pytest.mark.parametrize("ids", [["a", "b"], [["a", 0.0, 1.0], ["b", 0.0, 1.0]], None])
def test_ids_without_a_video_are_rejected(tmp_path: Path, ids: object) -> None:
    """Splits by video would be impossible."""
    (tmp_path / "mosi.pkl").write_bytes(pickle.dumps({"train": split(["a$_$1", "b$_$1"]) | {"id": ids}}))
    with pytest.raises(UsageError, match=r"expected ids like VIDEO\$_\$CLIP"):
        convert("mosi", tmp_path / "mosi.pkl", tmp_path / "to")


def test_plain_data_is_read(tmp_path: Path) -> None:
    """Strings, numbers, nested object arrays, both memory and byte orders, scalars, bytes, shared references."""
    shared = np.arange(4)
    data = {
        "big": np.arange(6, dtype=">i4").reshape(2, 3),
        "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "texts": np.array(["é", "abc"]),
        "objects": np.array([["a", None], [b"b", 2.5]], object),
        "scalar": np.float64(1.5),
        "twice": [shared, shared],
        "bool": np.array([True, False]),
    }
    file = tmp_path / "plain.pkl"
    file.write_bytes(pickle.dumps(data))
    read = read_plain_pickle(file)
    assert isinstance(read, dict)
    for name in ("big", "fortran", "texts", "bool"):
        assert np.array_equal(read[name], data[name])  # type: ignore[arg-type]
    assert read["objects"] == [["a", None], [b"b", 2.5]]
    assert read["scalar"] == 1.5
    assert read["twice"][0] is read["twice"][1]


class _Runs:
    def __init__(self, call: Any, *arguments: object) -> None:  # noqa: ANN401
        self._reduced = (call, arguments)

    def __reduce__(self) -> Any:  # noqa: ANN401
        return self._reduced


class _State:
    """Pickles as an array's stand-in with a chosen state."""

    def __init__(self, state: object) -> None:
        self._state = state

    def __reduce__(self) -> Any:  # noqa: ANN401
        return np._core.multiarray._reconstruct, (np.ndarray, (0,), b"b"), self._state  # noqa: SLF001


CYCLE: list[object] = []
CYCLE.append(CYCLE)


@pytest.mark.parametrize(
    "evil",
    [
        _Runs(os.mkdir, "evidence"),
        _Runs(eval, "__import__('os').mkdir('evidence')"),
        _Runs(getattr, "", "join"),
        _Runs(np.load, "evidence"),
        _Runs(np.ndarray, (2,)),
        _Runs(np.dtype, "V8"),
        _Runs(np.dtype, [("a", "O")]),
        {1, 2},
        Path("evidence"),
        CYCLE,
        _State((1, (1 << 40,), np.dtype("f8"), False, b"few")),
        _State((1, (-1,), np.dtype("f8"), False, b"")),
        _State((1, (2,), np.dtype("O"), False, [1])),
        _State((1, (1,), np.dtype("O"), False, b"12345678")),
        _State({"a": 1}),
        np.array([np.zeros(2), Path()], object),
    ],
)
def test_a_pickle_of_anything_else_is_rejected(evil: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before any of its code runs."""
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "evil.pkl"
    file.write_bytes(pickle.dumps(evil))
    with pytest.raises(UsageError, match="expected a pickle of plain data and arrays, got: "):
        read_plain_pickle(file)
    assert [found.name for found in tmp_path.iterdir()] == ["evil.pkl"]


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"no pickle",
        b"\x80\x04}",
        b"cnumpy.core.multiarray\n_reconstruct\n(N}X\x0c\x00\x00\x00__defaults__)tb.",  # change a function's defaults
        b"cnumpy.core.multiarray\n_reconstruct\n}X\x01\x00\x00\x00aK\x01sb.",
        b"\x80\x04\x8c\x02os\x8c\x06system\x93.",
    ],
)
def test_a_broken_or_forged_pickle_is_rejected(raw: bytes, tmp_path: Path) -> None:
    """It cannot change the stand-ins either."""
    (tmp_path / "forged.pkl").write_bytes(raw)
    with pytest.raises(UsageError, match="expected a pickle"):
        read_plain_pickle(tmp_path / "forged.pkl")


def test_missing_features_are_reported(tmp_path: Path) -> None:
    """The message names the file or the row."""
    np.save(tmp_path / "a.npy", np.zeros((2, 3, 4)))
    with pytest.raises(UsageError, match="expected an array of features"):
        read_features(FeatureArrays(file="b.npy", row=0), tmp_path)
    with pytest.raises(UsageError, match=r"with a row 2, got \(2, 3, 4\)"):
        read_features(FeatureArrays(file="a.npy", row=2), tmp_path)
