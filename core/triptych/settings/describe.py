"""Settings of `triptych describe`: the key of its endpoint, and its own HTTP endpoints."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Self

from pydantic import Field, SecretStr, model_validator

from triptych.settings.http import HttpSettings
from triptych.settings.section import Section, read_secret


class DescribeSettings(Section):
    """The key of the endpoint that describes windows. What is asked is given by flags of `triptych describe`."""

    key: SecretStr | None = None
    """API key of the endpoint, if it wants one. It is never logged."""

    key_file: Path | None = None
    """File that holds the key, read at startup. Set it instead of `key`."""

    def api_key(self) -> str | None:
        """Return the key, or None.

        Raises:
            SettingsError: `key_file` cannot be read.
        """
        if self.key_file is not None:
            return read_secret(self.key_file, "describe.key_file")
        return None if self.key is None else self.key.get_secret_value()

    @model_validator(mode="after")
    def _check_key(self) -> Self:
        if self.key is not None and self.key_file is not None:
            raise ValueError("set key or key_file, not both")
        key = "none" if self.key is None else self.key.get_secret_value()
        if not (key and key.isascii() and key.isprintable() and " " not in key):
            raise ValueError("key must consist of visible ASCII characters")
        return self


class DescribeHttpSettings(HttpSettings):
    """The HTTP endpoints of `triptych describe`, separate from the worker's so that both can share a settings file."""

    section: ClassVar[str] = "describe_http"

    port: Annotated[int, Field(ge=0, le=65_535)] = 0
    """Port to listen on. 0 disables the endpoints. 9466 is a good choice for a single program."""
