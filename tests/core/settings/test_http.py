"""Validation of the settings of the HTTP endpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from triptych.settings.loading import load
from triptych.settings.section import SettingsError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(("text", "message"), [(None, "a readable file"), ("\n", "an empty file")])
def test_a_missing_or_empty_secret_file_is_an_error(tmp_path: Path, text: str | None, message: str) -> None:
    """The message names the setting."""
    path = tmp_path / "token"
    if text is not None:
        path.write_text(text)
    with pytest.raises(SettingsError, match=rf"http\.token_file: .*{message}"):
        load(None, {"http.token_file": str(path)}, environ={}).http.bearer_token()
