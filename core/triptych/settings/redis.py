"""The settings of the Redis client: address, login and how long results are kept."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Self
from urllib.parse import quote, urlencode, urlsplit, urlunsplit

from pydantic import Field, model_validator

from triptych.settings.section import NotEmpty, Positive, Section, secret_of


class RedisSettings(Section):
    """The store that subscribers read."""

    url: Annotated[str, Field(pattern=r"^((redis|rediss)(\+sentinel|\+cluster)?|unix)://.+")] = (
        "redis://127.0.0.1:6379/0"
    )
    """Where to find the server; a password in it is never shown. With TLS `rediss://`; by Sentinels
    `redis+sentinel://USER:PASSWORD@HOST:PORT,HOST:PORT/SERVICE/DB`; a cluster `redis+cluster://HOST:PORT,HOST:PORT`."""

    password_file: Path | None = None
    """A file with the password of the URL's user, instead of one in the URL; read when a program starts."""

    sentinel_username: NotEmpty | None = None
    """Who we are to the Sentinels, where they have users of their own."""

    sentinel_password_file: Path | None = None
    """A file with the Sentinels' password; they do not take the server's."""

    ssl_ca_file: Path | None = None
    """The authorities whose certificates we trust (PEM) with `rediss`; without it the system's own."""

    ssl_cert_file: Path | None = None
    """Our own certificate (PEM), where the server asks for one."""

    ssl_key_file: Path | None = None
    """The key of that certificate (PEM, not encrypted)."""

    results_maxlen: Positive = 10_000
    """Results kept of each feed, about (Redis trims whole nodes). Ten thousand windows of 2 s are over five hours."""

    latest_ttl_s: Positive = 3_600
    """How long the newest result of a feed that fell silent still counts as its latest."""

    key_ttl_s: Positive = 7 * 24 * 3_600
    """How long a feed's keys outlive its last result: as long as Kafka keeps its records by default, so that a repeat
    from the log is still recognised."""

    def full_url(self) -> str:
        """Return the URL with what the other settings add to it: all that a client needs. It holds the password.

        Raises:
            SettingsError: A password's file cannot be read.
        """
        added = {
            "ssl_ca_certs": self.ssl_ca_file,
            "ssl_certfile": self.ssl_cert_file,
            "ssl_keyfile": self.ssl_key_file,
            "sentinel_username": self.sentinel_username,
            "sentinel_password": None
            if self.sentinel_password_file is None
            else secret_of(self.sentinel_password_file, "redis.sentinel_password_file"),
        }
        query = urlencode({name: str(value) for name, value in added.items() if value is not None}, quote_via=quote)
        url = urlsplit(self.url)
        netloc = url.netloc
        if self.password_file is not None:
            user, _, hosts = netloc.rpartition("@")
            netloc = f"{user}:{quote(secret_of(self.password_file, 'redis.password_file'), safe='')}@{hosts}"
        return urlunsplit(url._replace(netloc=netloc, query="&".join(filter(None, (url.query, query)))))

    @model_validator(mode="after")
    def _access_is_whole(self) -> Self:
        if (self.ssl_cert_file is None) != (self.ssl_key_file is None):
            raise ValueError("ssl_cert_file and ssl_key_file need one another")
        if self.ssl_ca_file is not None and not self.url.startswith("rediss"):
            raise ValueError("ssl_ca_file needs a url that begins with rediss: nothing is encrypted without")
        if self.sentinel_username is not None and self.sentinel_password_file is None:
            raise ValueError("sentinel_username needs sentinel_password_file")
        if self.sentinel_password_file is not None and "+sentinel://" not in self.url:
            raise ValueError("sentinel_password_file needs a url that begins with redis+sentinel or rediss+sentinel")
        if self.password_file is not None and urlsplit(self.url).password is not None:
            raise ValueError("password_file and a password in the url exclude one another")
        return self


def without_password(url: str) -> str:
    """Return the URL with its password replaced by stars, wherever redis-py takes one."""
    password = urlsplit(url).password
    url = re.sub(r"([?&]\w*password=)[^&]*", r"\1***", url)
    return url if password is None else url.replace(f":{password}@", ":***@", 1)
