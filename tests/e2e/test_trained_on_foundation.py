"""A head that is trained on foundation models, from clips to results, with the commands that a user types."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.programs import Installation, by_id
from tests.models.foundation import tiny_models

CLIPS = (
    ("librivox_city_15s.mkv", "city", "train", 0, 6),
    ("librivox_city_15s.mkv", "city", "validation", 6, 10),
    ("librivox_city_15s.mkv", "city", "test", 10, 14),
    ("sintel_608_10s.ts", "film", "train", 0, 6),
    ("sintel_608_10s.ts", "film", "validation", 6, 10),
    ("bbb_5s_51ch.mp4", "film", "test", 0, 4),
)


@pytest.mark.timeout(600)
def test_a_head_on_foundation_models_is_trained_evaluated_and_served(
    install: Callable[..., Installation], clip: Callable[[str], str], tmp_path: Path
) -> None:
    """`data prepare`, `train --encoder`, `evaluate`, `work --model`."""
    here = install(TRIPTYCH_MODEL_DETECTOR="off", TRIPTYCH_MODEL_RUNTIME="torch")
    siglip = tiny_models.tiny_siglip(tmp_path / "siglip")
    clap = tiny_models.tiny_clap(tmp_path / "clap")
    table = ["path,label,split,start,end,group"]
    table += [
        f"{clip(name)},{label},{split},{start},{end},{number}"
        for number, (name, label, split, start, end) in enumerate(CLIPS)
    ]
    (tmp_path / "clips.csv").write_text("\n".join(table) + "\n")
    windows, model = str(tmp_path / "windows"), str(tmp_path / "model")

    here.run("data", "prepare", str(tmp_path / "clips.csv"), "--to", windows).succeeded()
    encoders = ["--encoder", f"video=folder:{siglip}", "--encoder", f"audio=folder:{clap}"]
    small = ["--steps", "4", "--batch", "4", "--width", "16"]
    here.run("train", "--data", windows, *encoders, *small, "--out", model).succeeded()
    encoders_of_card = json.loads((tmp_path / "model" / "model.json").read_text())["architecture"]["encoders"]
    assert {name: card["kind"] for name, card in encoders_of_card.items()} == {
        "video": "foundation",
        "audio": "foundation",
        "text": "small",
    }
    here.run("evaluate", model, "--data", windows, "--out", str(tmp_path / "report")).succeeded()
    report = json.loads((tmp_path / "report" / "report.json").read_text())
    assert report["warnings"]  # four windows measure nothing, and the report says so

    here.run("produce", clip("librivox_city_15s.mkv"), "--start-at", "2026-01-01T00:00:00Z").succeeded()
    here.run("work", "--model", model, "--until-end").succeeded()
    results = list(by_id(here.in_topic()).values())
    assert len(results) == 8
    assert all({each.label for each in (result.predictions or {})["target"]} == {"city", "film"} for result in results)
    assert {modality for result in results for modality, _ in result.shares or ()} == {"video", "audio", "subtitles"}
