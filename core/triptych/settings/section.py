"""What every section of the settings shares: frozen fields, refused unknown names, and files of secrets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Positive = Annotated[int, Field(gt=0)]

NotNegative = Annotated[int, Field(ge=0)]

NotEmpty = Annotated[str, Field(min_length=1)]


class SettingsError(ValueError):
    """Settings that cannot be used; one line for each thing that is wrong, and where it came from."""


class Section(BaseModel):
    """Common to all sections: frozen, unknown names refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def secret_of(path: Path, setting: str) -> str:
    """Return the secret that a file holds, without the line's end.

    Raises:
        SettingsError: There is none.
    """
    try:
        secret = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{setting}: expected a file that can be read, got: {error}") from error
    if not secret:
        raise SettingsError(f"{setting}: expected a secret in {path}, got an empty file")
    return secret
