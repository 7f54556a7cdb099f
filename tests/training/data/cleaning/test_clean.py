"""Every kind of mistake in a manifest is found, reported and removed. Media files stay as they are."""

from __future__ import annotations

import hashlib
import json
import shutil
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from typer.testing import CliRunner

from triptych.schemas.errors import UsageError
from triptych.training.data.cli import data
from triptych.training.data.manifest import Item, Labels, Manifest, TimedText, read_manifest, write_manifest

LABELS = Labels(name="moods", labels=("bad", "good"))


def film(file: Path, *, level: int = 200, amplitude: float = 0.3, seed: int = 0) -> None:
    """Write two seconds of noise with a maximum brightness and amplitude."""
    noise = np.random.default_rng(seed)
    with av.open(str(file), "w") as container:
        pictures = container.add_stream("ffv1", rate=4)
        pictures.width, pictures.height, pictures.pix_fmt = 64, 64, "bgr0"
        sound = container.add_stream("pcm_s16le", rate=16_000, layout="mono")
        for number in range(8):
            frame = av.VideoFrame.from_ndarray(noise.integers(0, level + 1, (64, 64, 3), np.uint8), format="rgb24")
            frame = frame.reformat(format="bgr0")
            frame.pts, frame.time_base = number, Fraction(1, 4)
            container.mux(pictures.encode(frame))
            samples = np.rint(noise.normal(0, amplitude * 10_000, (1, 4_000))).astype(np.int16)
            chunk = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
            chunk.sample_rate, chunk.pts = 16_000, number * 4_000
            container.mux(sound.encode(chunk))
        container.mux(pictures.encode(None))


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of films: good ones, a silent one, a black one, a copy, and a broken one."""
    folder = tmp_path_factory.mktemp("films")
    for seed, name in enumerate(("a", "b", "c", "d")):
        film(folder / f"{name}.mkv", seed=seed)
    film(folder / "silent.mkv", amplitude=0.0)
    film(folder / "black.mkv", level=10)
    film(folder / "night.mkv", level=60, amplitude=0.005)  # dark and quiet, but neither black nor silent
    for name in ("a", "b", "c"):
        shutil.copy(folder / f"{name}.mkv", folder / f"copy-of-{name}.mkv")
    (folder / "broken.mkv").write_bytes(b"no film")
    return folder


def item(name: str, split: str = "train", label: int = 0, **changes: object) -> Item:
    """Return an item whose clip has its name."""
    fields = {"id": name, "split": split, "group": name, "clip": f"{name}.mkv", "label": label}
    return Item.model_validate(fields | changes)


def apart(name: str, file: str, text: str | None = None) -> Item:
    """Return an item with a file for each modality."""
    words = None if text is None else (TimedText(t0=0, t1=1, text=text),)
    return item(name, clip=None, video=file, audio=file, text=words)


def test_every_mistake_is_found(films: Path, tmp_path: Path) -> None:
    """The report says what happened to each item."""
    items = (
        item("a"), item("copy-of-a", "test"),
        item("b", label=0), item("copy-of-b", label=1),
        apart("c-said", "c.mkv", "one thing"), apart("c-said-again", "copy-of-c.mkv", "One  thing"),
        apart("c-other", "c.mkv", "another thing"),
        item("broken"), item("missing"), item("night"),
        item("silent"), item("black"),
        apart("silent-apart", "silent.mkv", "hush"), apart("black-apart", "black.mkv"),
        apart("words", "d.mkv", "<b>so</b> \ufffd"), apart("no-words", "d.mkv", "..."),
        item("late", clip="d.mkv", t0=60),
    )  # fmt: skip
    write_manifest(Manifest(films, LABELS, items))
    before = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in films.iterdir()}
    result = CliRunner().invoke(data, ["clean", str(films), "--to", str(tmp_path / "clean")], catch_exceptions=False)
    assert result.exit_code == 0
    assert {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in films.iterdir()} == before
    report = json.loads((tmp_path / "clean" / "report.json").read_text())
    assert {(found["item"], found["kind"], found["action"]) for found in report["findings"]} == {
        ("a", "duplicate", "left out"),
        ("b", "conflict", "left out"), ("copy-of-b", "conflict", "left out"),
        ("c-said-again", "duplicate", "left out"),
        ("broken", "undecodable", "left out"), ("missing", "undecodable", "left out"),
        ("silent", "silent", "kept"), ("black", "black", "kept"),
        ("silent-apart", "silent", "modality left out"), ("black-apart", "black", "modality left out"),
        ("words", "text", "mended"), ("no-words", "text", "modality left out"),
        ("late", "empty", "left out"),
    }  # fmt: skip
    cleaned = {each.id: each for each in read_manifest(tmp_path / "clean").items}
    assert set(cleaned) == {
        "copy-of-a", "c-said", "c-other", "night", "silent", "black", "silent-apart", "black-apart", "words",
        "no-words",
    }  # fmt: skip
    assert (tmp_path / "clean" / (cleaned["copy-of-a"].clip or "")).resolve() == films / "copy-of-a.mkv"
    assert (cleaned["silent-apart"].audio, cleaned["black-apart"].video) == (None, None)
    assert cleaned["words"].text == (TimedText(t0=0, t1=1, text="so"),)
    assert cleaned["no-words"].text is None
    assert report["items"] == {"before": 17, "after": 10}
    assert report["splits"]["test"] == {"before": 1, "after": 1}
    assert report["labels"]["good"] == {"before": 1, "after": 0}
    page = (tmp_path / "clean" / "report.md").read_text()
    assert "17 items before, 10 after" in page
    assert "| conflict | another item has the same media and text but another label | 2 | left out: 2 |" in page
    assert "| c-said-again | of c-said (train) | left out |" in page


def test_nothing_is_overwritten_and_no_empty_manifest_written(tmp_path: Path) -> None:
    """The output folder must differ from the source."""
    (tmp_path / "in").mkdir()
    write_manifest(Manifest(tmp_path / "in", LABELS, (item("gone"),)))
    for arguments, message in (
        (["clean", str(tmp_path / "in"), "--to", str(tmp_path / "in")], "expected another folder"),
        (["clean", str(tmp_path / "in"), "--to", str(tmp_path / "out")], "expected a usable item, got none of 1"),
    ):
        result = CliRunner().invoke(data, arguments)
        assert isinstance(result.exception, UsageError)
        assert message in str(result.exception)
    assert not (tmp_path / "out").exists()
