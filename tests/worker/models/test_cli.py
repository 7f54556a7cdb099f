"""`triptych models` gets weights and lists them."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from triptych.schemas.errors import UsageError
from triptych.worker.models.cli import models


def test_the_list_says_what_is_cached(weights_folder: Path) -> None:
    """With the licence and the source of each."""
    assert weights_folder.is_dir()
    result = CliRunner().invoke(models, ["list"], env={"COLUMNS": "120"})
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
