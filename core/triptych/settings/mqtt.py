"""Settings of the MQTT client of `triptych alert --mqtt`: login, TLS, and discovery by Home Assistant."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, SecretStr, model_validator

from triptych.settings.section import NotEmpty, Section, read_secret


class MqttSettings(Section):
    """The client of an MQTT broker (docs/mqtt.md). Its address is given with `--mqtt`. It needs the extra `mqtt`."""

    username: NotEmpty | None = None
    """User name at the broker."""

    password: SecretStr | None = None
    """Password at the broker. Prefer an environment variable or `password_file` to a flag or a file of settings."""

    password_file: Path | None = None
    """File that holds the password, read at startup. Set it instead of `password`."""

    ssl_ca_file: Path | None = None
    """PEM file with the trusted certificate authorities, for `mqtts`. By default those of the operating system."""

    ssl_cert_file: Path | None = None
    """PEM file with the client certificate, for brokers that require one."""

    ssl_key_file: Path | None = None
    """PEM file with the unencrypted private key of the client certificate."""

    discovery_prefix: Annotated[str, Field(pattern=r"^[A-Za-z0-9_/-]{0,128}$")] = "homeassistant"
    """Topic under which Home Assistant looks for configurations of MQTT discovery. Empty: none are published."""

    def secret(self) -> str | None:
        """Return the password in clear text. Raises `SettingsError` if its file cannot be read."""
        if self.password_file is not None:
            return read_secret(self.password_file, "mqtt.password_file")
        return None if self.password is None else self.password.get_secret_value()

    @model_validator(mode="after")
    def _check_access(self) -> Self:
        if (self.ssl_cert_file is None) != (self.ssl_key_file is None):
            raise ValueError("ssl_cert_file and ssl_key_file must be set together")
        if self.password is not None and self.password_file is not None:
            raise ValueError("set password or password_file, not both")
        if self.username is None and (self.password is not None or self.password_file is not None):
            raise ValueError("a password needs username")
        return self
