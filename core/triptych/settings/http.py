"""Settings of the HTTP endpoints for metrics, liveness and readiness."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Self

from pydantic import Field, SecretStr, model_validator

from triptych.settings.section import NotEmpty, NotNegative, Section, read_secret


class HttpSettings(Section):
    """The HTTP endpoints of the worker: `/metrics`, `/healthz` and `/readyz`."""

    section: ClassVar[str] = "http"

    host: NotEmpty = "127.0.0.1"
    """Address to listen on. Set it to `0.0.0.0` in a container."""

    port: Annotated[int, Field(ge=0, le=65_535)] = 9_464
    """Port to listen on. 0 disables the endpoints."""

    token: SecretStr | None = None
    """Token that requests must carry as `Authorization: Bearer TOKEN`. Without it every client that reaches the port is
    served. The token is sent in clear text: put a TLS proxy in front of the port on an untrusted network."""

    token_file: Path | None = None
    """File that holds the token, read at startup. Set it instead of `token`."""

    def bearer_token(self) -> str | None:
        """Return the token that requests must carry, or None.

        Raises:
            SettingsError: `token_file` cannot be read.
        """
        if self.token_file is not None:
            return read_secret(self.token_file, f"{self.section}.token_file")
        return None if self.token is None else self.token.get_secret_value()

    @model_validator(mode="after")
    def _check_token(self) -> Self:
        if self.token is not None and self.token_file is not None:
            raise ValueError("set token or token_file, not both")
        token = self.token.get_secret_value() if self.token is not None else "none"
        if not (token and token.isascii() and token.isprintable() and " " not in token):
            raise ValueError("token must consist of visible ASCII characters")
        return self


class ProduceHttpSettings(HttpSettings):
    """The HTTP endpoints of `triptych produce`, separate from the worker's so that both can share a settings file."""

    section: ClassVar[str] = "produce_http"

    port: Annotated[int, Field(ge=0, le=65_535)] = 0
    """Port to listen on. 0 disables the endpoints, so that several producers can run on one machine. 9465 is a good
    choice for a single producer."""

    max_named_feeds: NotNegative = 200
    """Maximum number of feeds with metrics of their own. The metrics of all others are summed, with `stream="others"`,
    so that the number of series is bounded. A feed keeps its series while it is played."""

    named_feeds: str = ""
    """Feeds that always have metrics of their own, separated by commas: `door,hall`."""

    @property
    def always_named_feeds(self) -> frozenset[str]:
        """The stream ids in `named_feeds`."""
        return frozenset(name.strip() for name in self.named_feeds.split(",") if name.strip())


class PageHttpSettings(HttpSettings):
    """The HTTP endpoints of `triptych page` for metrics and probes. The page itself has an address of its own."""

    section: ClassVar[str] = "page_http"

    port: Annotated[int, Field(ge=0, le=65_535)] = 0
    """Port to listen on. 0 disables the endpoints. 9467 is a good choice for a single page."""
