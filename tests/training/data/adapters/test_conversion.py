"""From a downloaded data set to training windows, with the commands only."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from typer.testing import CliRunner

from triptych.training.data.cli import data
from triptych.training.data.prepared_dataset import PreparedDataset


def test_a_data_set_becomes_windows(root: Path, to: Path, lay: Callable[..., None], tmp_path: Path) -> None:
    """It is converted, prepared with augmented copies, and shown."""
    lay([f"Actor_{actor:02}/01-01-06-01-02-01-{actor:02}.mp4" for actor in range(1, 8)], broken=["Actor_01/x.mp4"])
    runner = CliRunner()
    result = runner.invoke(data, ["convert", "ravdess", str(root), "--to", str(to)], catch_exceptions=False)
    assert "7 items in" in result.output
    assert "4 train, 1 validation, 2 test" in result.output
    assert "x: expected a name like" in (to / "problems.txt").read_text()
    windows = tmp_path / "windows"
    arguments = ["prepare", str(to), "--to", str(windows), "--size", "16", "--augment", "usual", "--copies", "2"]
    assert "15 windows of 7 clips" in runner.invoke(data, arguments, catch_exceptions=False).output
    prepared = PreparedDataset(windows)
    assert [prepared.size(split) for split in ("train", "validation", "test")] == [12, 1, 2]
    first, *copies = prepared.examples("train", range(3))
    assert [copy.id for copy in copies] == [f"{first.id}+1", f"{first.id}+2"]
    assert {copy.group for copy in copies} == {first.group}
    assert (copies[0].window.audio_f32 != copies[1].window.audio_f32).any()
    shown = ["show", str(windows), "--augment", "flip=1", "--to", str(tmp_path / "shown")]
    assert runner.invoke(data, shown, catch_exceptions=False).exit_code == 0
    found = sorted(file.relative_to(tmp_path / "shown").parts[1:] for file in (tmp_path / "shown").rglob("*.*"))
    names = ("sheet.png", "sound.wav", "truth.json", "words.txt")
    assert [parts for parts in found if parts] == sorted(
        [(name,) for name in names] + [("augmented", name) for name in names]
    )
