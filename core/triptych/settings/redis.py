"""Settings of the Redis client: address, authentication and retention of results."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Self
from urllib.parse import quote, urlencode, urlsplit, urlunsplit

from pydantic import Field, model_validator

from triptych.settings.section import NotEmpty, Positive, Section, read_secret
from triptych.settings.url_passwords import check_password_encoding


class RedisSettings(Section):
    """The Redis server that stores recent results for subscribers."""

    url: Annotated[str, Field(pattern=r"^((redis|rediss)(\+sentinel|\+cluster)?|unix)://.+")] = (
        "redis://127.0.0.1:6379/0"
    )
    """URL of the server. `rediss://` uses TLS, `redis+sentinel://USER:PASSWORD@HOST:PORT,HOST:PORT/SERVICE/DB` asks
    Sentinels for the master, and `redis+cluster://HOST:PORT,HOST:PORT` connects to a cluster. A password in the URL is
    never printed."""

    password_file: Path | None = None
    """File that holds the password of the URL's user, read at startup. Set it instead of a password in the URL."""

    sentinel_username: NotEmpty | None = None
    """User name for the Sentinels, if they have their own users."""

    sentinel_password_file: Path | None = None
    """File that holds the password for the Sentinels, which differs from that of the server."""

    ssl_ca_file: Path | None = None
    """PEM file with the trusted certificate authorities, for `rediss`. By default those of the operating system."""

    ssl_cert_file: Path | None = None
    """PEM file with the client certificate, for servers that require one."""

    ssl_key_file: Path | None = None
    """PEM file with the unencrypted private key of the client certificate."""

    results_maxlen: Positive = 10_000
    """Approximate number of results to keep for each stream; Redis trims whole nodes of its stream. Ten thousand
    windows of 2 s cover more than five hours."""

    latest_ttl_s: Positive = 3_600
    """Time in seconds after which the latest result of a silent stream expires."""

    key_ttl_s: Positive = 7 * 24 * 3_600
    """Time in seconds after which all keys of a silent stream expire. It should not be shorter than the retention of
    the Kafka topics, so that duplicates are recognised. The default is Kafka's default retention."""

    def full_url(self) -> str:
        """Return the URL with the other settings added to it, including the password in clear text.

        Raises:
            SettingsError: a password file cannot be read.
        """
        added = {
            "ssl_ca_certs": self.ssl_ca_file,
            "ssl_certfile": self.ssl_cert_file,
            "ssl_keyfile": self.ssl_key_file,
            "sentinel_username": self.sentinel_username,
            "sentinel_password": None
            if self.sentinel_password_file is None
            else read_secret(self.sentinel_password_file, "redis.sentinel_password_file"),
        }
        query = urlencode({name: str(value) for name, value in added.items() if value is not None}, quote_via=quote)
        url = urlsplit(self.url)
        netloc = url.netloc
        if self.password_file is not None:
            user, _, hosts = netloc.rpartition("@")
            netloc = f"{user}:{quote(read_secret(self.password_file, 'redis.password_file'), safe='')}@{hosts}"
        return urlunsplit(url._replace(netloc=netloc, query="&".join(filter(None, (url.query, query)))))

    @model_validator(mode="after")
    def _check_access(self) -> Self:
        check_password_encoding(self.url)
        if (self.ssl_cert_file is None) != (self.ssl_key_file is None):
            raise ValueError("ssl_cert_file and ssl_key_file must be set together")
        if self.ssl_ca_file is not None and not self.url.startswith("rediss"):
            raise ValueError("ssl_ca_file needs a url that begins with rediss: other connections are not encrypted")
        if self.sentinel_username is not None and self.sentinel_password_file is None:
            raise ValueError("sentinel_username needs sentinel_password_file")
        if self.sentinel_password_file is not None and "+sentinel://" not in self.url:
            raise ValueError("sentinel_password_file needs a url that begins with redis+sentinel or rediss+sentinel")
        if self.password_file is not None and urlsplit(self.url).password is not None:
            raise ValueError("set password_file or a password in the url, not both")
        return self
