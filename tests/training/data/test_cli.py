"""Rendered clips give the same windows as their examples: the live path and the training path agree."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from triptych.models.window import PreparedWindow
from triptych.schemas.errors import UsageError
from triptych.training.data import cli as data_module
from triptych.training.data.benchmarks.benchmark import BENCHMARKS, GeneratedDataset
from triptych.training.data.catalogue import open_dataset
from triptych.training.data.cli import data
from triptych.training.data.clip_records import clip_records
from triptych.training.data.labelled_windows import labelled_windows, task_of
from triptych.training.data.manifest import Item, Labels, Manifest, TimedText
from triptych.training.data.manifest_sources import manifest_of_table
from triptych.training.data.prepared_dataset import PreparedDataset
from triptych.training.data.rendering import write_clip
from triptych.training.data.window_preparation import prepared_windows
from triptych.worker.alignment.config import AlignConfig

START_NS = 1_767_225_600 * 1_000_000_000
WORST_PIXEL = 6
"""By so much of 255 a pixel differs at most after a JPEG of quality 100 (noise, which is the worst there is)."""

Make = Callable[[str], GeneratedDataset]


def live(clip: Path, dataset: GeneratedDataset) -> list[PreparedWindow]:
    """Return the windows that a worker prepares from a producer's records of a clip."""
    records = clip_records(clip, START_NS, quality=100)
    return [each.window for each in prepared_windows(records, AlignConfig(), dataset.task.spec)]


@pytest.mark.parametrize("name", ["sentiment", "sentiment-pair", "refer"])
def test_a_rendered_clip_gives_the_tensors_of_training(name: str, make: Make, tmp_path: Path) -> None:
    """Audio, times and text are equal bit by bit; frames differ only by the producer's JPEG."""
    dataset = make(name)
    trained = [example.window for example in dataset.examples("test", range(3))]
    write_clip(trained, tmp_path / "clip.mkv")
    served = live(tmp_path / "clip.mkv", dataset)
    assert [window.start_ns - START_NS for window in served] == [0, 2_000_000_000, 4_000_000_000]
    for ours, theirs in zip(trained, served, strict=True):
        assert np.array_equal(ours.audio_f32, theirs.audio_f32)
        assert ours.audio_present == theirs.audio_present
        assert ours.frame_times_ns == tuple(time_ns - theirs.start_ns for time_ns in theirs.frame_times_ns)
        assert [(cue.text, cue.start_ns, cue.end_ns) for cue in ours.cues] == [
            (cue.text, cue.start_ns - theirs.start_ns, cue.end_ns - theirs.start_ns) for cue in theirs.cues
        ]
        pixels = [np.stack(window.frames_hwc_u8).astype(int) for window in (ours, theirs)]
        assert np.abs(pixels[0] - pixels[1]).max() <= WORST_PIXEL


def test_clips_by_label_become_windows_for_training(make: Make, tmp_path: Path, runner: CliRunner) -> None:
    """One command renders and another prepares, and the windows are the original ones."""
    dataset = make("sentiment")
    assert runner.invoke(data, ["render", "sentiment", "--count", "4", "--to", str(tmp_path / "clips")]).exit_code == 0
    arguments = ["prepare", str(tmp_path / "clips"), "--to", str(tmp_path / "windows"), "--frames", "2", "--size", "48"]
    assert "4 windows of 4 clips" in runner.invoke(data, arguments).output.replace("\n", " ")
    prepared = open_dataset(str(tmp_path / "windows"))
    found = {
        example.id.partition("/")[2].partition(".")[0]: (example, prepared.task.labels)
        for split in prepared.splits
        for example in prepared.examples(split, range(prepared.size(split)))
    }
    for example in dataset.examples("test", range(4)):
        ours, labels = found[example.id.replace("/", "-")]
        assert labels[int(ours.target)] == dataset.task.labels[int(example.target)]  # type: ignore[arg-type]
        assert np.array_equal(ours.window.audio_f32, example.window.audio_f32)
        assert [cue.text for cue in ours.window.cues] == [cue.text for cue in example.window.cues]


def test_parts_of_files_become_windows(make: Make, tmp_path: Path) -> None:
    """Video of one file, audio of another, text of the manifest; cut at both ends, with the item's label."""
    dataset = make("sentiment")
    windows = [example.window for example in dataset.examples("test", range(4))]
    write_clip(windows, tmp_path / "a.mkv")
    item = Item(
        id="a", split="test", group="a", t0=2.0, t1=7.5, video="a.mkv", audio="a.mkv",
        text=(TimedText(t0=4.5, t1=5, text="now"),), label=1, label_per_modality={"video": 0},
    )  # fmt: skip
    manifest = Manifest(tmp_path, Labels(name="cut", labels=("bad", "good")), (item,))
    task = task_of(manifest, dataset.task.spec, dataset.task.window_ns)
    outcome = labelled_windows(item, tmp_path, task, partial(clip_records, quality=100))
    assert [example.id for example in outcome.examples] == ["a#0", "a#1", "a#2"]
    assert {example.target for example in outcome.examples} == {1}
    assert dict(outcome.examples[0].parts) == {"video/label": 0, "audio/label": -1, "text/label": -1}
    assert [[cue.text for cue in example.window.cues] for example in outcome.examples] == [[], ["now"], []]
    assert np.array_equal(outcome.examples[0].window.audio_f32, windows[1].audio_f32)
    last = outcome.examples[2].window
    assert last.audio_present == ((0, 24_000),)
    assert not last.audio_f32[24_000:].any()
    assert len(last.frames_hwc_u8) == 1


def test_text_without_an_end_lasts_as_long_as_its_clip(make: Make, tmp_path: Path) -> None:
    """No window has text only, behind the end of the media. A given end is kept."""
    dataset = make("sentiment")
    write_clip([example.window for example in dataset.examples("test", range(2))], tmp_path / "a.mkv")
    table = tmp_path / "moods.csv"
    table.write_text(
        "path,label,split,group,start,end,text\na.mkv,good,test,a,,,how nice\na.mkv,bad,test,a,2,3,how sad\n"
    )
    manifest = manifest_of_table(table)
    task = task_of(manifest, dataset.task.spec, dataset.task.window_ns)
    whole, part = (labelled_windows(item, tmp_path, task, clip_records).examples for item in manifest.items)
    begin_ns = whole[0].window.start_ns
    shown = [[(cue.text, cue.start_ns, cue.end_ns) for cue in example.window.cues] for example in whole]
    assert shown == [[("how nice", begin_ns, begin_ns + 4_000_000_000)]] * 2
    assert [[cue.text for cue in example.window.cues] for example in part] == [["how sad"]]


def test_a_film_comes_with_its_labels(make: Make, tmp_path: Path, runner: CliRunner) -> None:
    """One clip of all windows, with the labels of each beside it."""
    dataset = make("quorum")
    assert runner.invoke(data, ["render", "quorum", "--film", "--count", "3", "--to", str(tmp_path)]).exit_code == 0
    truths = [json.loads(line) for line in (tmp_path / "quorum-test-0.jsonl").read_text().splitlines()]
    examples = dataset.examples("test", range(3))
    assert [truth["target"] for truth in truths] == [[dataset.task.labels[int(each.target)]] for each in examples]  # type: ignore[arg-type]
    assert len(live(tmp_path / "quorum-test-0.mkv", dataset)) == 3


@pytest.mark.usefixtures("make")
def test_an_example_can_be_shown(tmp_path: Path, runner: CliRunner) -> None:
    """As an image, a WAV file, its text and its labels."""
    assert runner.invoke(data, ["show", "refer", "--index", "5", "--to", str(tmp_path)]).exit_code == 0
    folder = tmp_path / "refer-0-test-5"
    assert sorted(file.name for file in folder.iterdir()) == ["sheet.png", "sound.wav", "truth.json", "words.txt"]
    assert cv2.imread(str(folder / "sheet.png")).shape == (48 * 4 + 96, 4 * 48 * 4, 3)
    truth = json.loads((folder / "truth.json").read_text())
    assert set(truth) == {"id", "target", "parts", "words"}


@pytest.mark.usefixtures("make")
def test_an_index_beyond_the_split_is_rejected(tmp_path: Path, runner: CliRunner) -> None:
    """The message has the size of the split."""
    result = runner.invoke(data, ["show", "refer", "--index", "4096", "--to", str(tmp_path)])
    assert isinstance(result.exception, UsageError)
    assert "expected examples below 4096" in str(result.exception)


def test_an_unplayable_clip_is_reported(tmp_path: Path, runner: CliRunner) -> None:
    """It is an error if no item is left."""
    (tmp_path / "clips" / "good").mkdir(parents=True)
    (tmp_path / "clips" / "good" / "broken.mkv").write_text("no film")
    result = runner.invoke(data, ["prepare", str(tmp_path / "clips"), "--to", str(tmp_path / "windows")])
    assert "good/broken.mkv" in result.output
    assert isinstance(result.exception, UsageError)


def test_an_unknown_data_set_is_rejected(tmp_path: Path) -> None:
    """The message says what was expected."""
    with pytest.raises(UsageError, match=r"expected sentiment, .*a folder made by triptych data prepare"):
        open_dataset("moods")
    with pytest.raises(UsageError, match="expected prepared windows"):
        PreparedDataset(tmp_path)


@pytest.fixture
def runner() -> CliRunner:
    """Return a runner of commands in this process."""
    return CliRunner()


@pytest.fixture
def make(pictures: object, speech: object, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Return a benchmark of small pools by name, which the commands use too."""

    def made(name: str) -> GeneratedDataset:
        return GeneratedDataset(BENCHMARKS[name], pictures, speech)  # type: ignore[arg-type]

    monkeypatch.setattr(data_module, "_opened", lambda name, *_: made(name))
    return made
