"""The base of all sections of the settings: immutable fields, no unknown names, and secrets from files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Positive = Annotated[int, Field(gt=0)]

NotNegative = Annotated[int, Field(ge=0)]

NotEmpty = Annotated[str, Field(min_length=1)]


class SettingsError(ValueError):
    """Invalid settings. The message has one line for each problem, with the source of the value."""


class Section(BaseModel):
    """The base class of all sections. Fields are immutable, and unknown names are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def read_secret(path: Path, setting: str) -> str:
    """Return the secret in a file, without surrounding whitespace. `setting` is the name for error messages.

    Raises:
        SettingsError: the file cannot be read or is empty.
    """
    try:
        secret = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{setting}: expected a readable file, got: {error}") from error
    if not secret:
        raise SettingsError(f"{setting}: expected a secret in {path}, got an empty file")
    return secret
