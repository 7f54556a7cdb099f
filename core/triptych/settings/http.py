"""The settings of the HTTP endpoints for metrics, health and readiness."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Self

from pydantic import Field, SecretStr, model_validator

from triptych.settings.section import NotEmpty, Section, secret_of


class HttpSettings(Section):
    """The worker's `/metrics`, `/healthz` and `/readyz`."""

    section: ClassVar[str] = "http"

    host: NotEmpty = "127.0.0.1"
    """The address to listen on; `0.0.0.0` inside a container."""

    port: Annotated[int, Field(ge=0, le=65_535)] = 9_464
    """The port to listen on; 0 does not listen at all."""

    token: SecretStr | None = None
    """What a request must carry as `Authorization: Bearer TOKEN`; without it all who reach the port are answered.
    It travels as it is: put TLS in front where others listen."""

    token_file: Path | None = None
    """A file with that token instead, read when the program starts."""

    def bearer_token(self) -> str | None:
        """Return the token that requests must carry, if any.

        Raises:
            SettingsError: Its file cannot be read.
        """
        if self.token_file is not None:
            return secret_of(self.token_file, f"{self.section}.token_file")
        return None if self.token is None else self.token.get_secret_value()

    @model_validator(mode="after")
    def _one_token_that_fits_a_header(self) -> Self:
        if self.token is not None and self.token_file is not None:
            raise ValueError("token and token_file exclude one another")
        token = self.token.get_secret_value() if self.token is not None else "none"
        if not (token and token.isascii() and token.isprintable() and " " not in token):
            raise ValueError("token must be of visible ASCII characters")
        return self


class ProduceHttpSettings(HttpSettings):
    """The same of `triptych produce`, apart so that both programs of a machine may read one file."""

    section: ClassVar[str] = "produce_http"

    port: Annotated[int, Field(ge=0, le=65_535)] = 0
    """The port to listen on; 0 does not listen at all: several films may be played at once. 9465 is a good one."""
