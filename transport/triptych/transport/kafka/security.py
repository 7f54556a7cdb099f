"""Authentication and TLS of a Kafka client, from the settings. Secrets are passed to the client only."""

from __future__ import annotations

import shlex
import ssl
import subprocess
from typing import Final

from kafka import errors
from kafka.net.sasl.oauth import AbstractTokenProvider

from triptych.settings.kafka import KafkaSettings
from triptych.settings.section import SettingsError, read_secret
from triptych.transport.errors import CredentialsError

COMMAND_LIMIT_S: Final = 10.0
"""The time limit of the token command. The client sends no heartbeat while it runs."""


def security_configs(settings: KafkaSettings) -> dict[str, object]:
    """Return the configs for the client. Raises `CredentialsError` if a file cannot be used."""
    configs: dict[str, object] = {"security_protocol": settings.security_protocol}
    if settings.security_protocol.endswith("SSL"):
        configs["ssl_context"] = _ssl_context(settings)
    if settings.sasl_mechanism == "OAUTHBEARER":
        provider = TokenProvider(settings)
        provider.token()  # fail now with one message, instead of in a client that keeps retrying
        configs |= {"sasl_mechanism": settings.sasl_mechanism, "sasl_oauth_token_provider": provider}
    elif settings.sasl_mechanism is not None:
        configs |= {
            "sasl_mechanism": settings.sasl_mechanism,
            "sasl_plain_username": settings.username,
            "sasl_plain_password": _password(settings),
        }
    return configs


class TokenRefusedError(CredentialsError, errors.SaslAuthenticationFailedError):  # type: ignore[misc] # the client is untyped
    """There is no token for the login. It is both our error, for the caller, and the client's error, for the client."""

    def __str__(self) -> str:
        """Return our message."""
        return str(self.args[0])


class TokenProvider(AbstractTokenProvider):  # type: ignore[misc] # the client is untyped
    """Provides the OAUTHBEARER token. Each connection requests it again."""

    def __init__(self, settings: KafkaSettings) -> None:
        super().__init__()
        self._settings = settings

    def token(self) -> str:
        """Return a token. Raises `TokenRefusedError` if there is none."""
        if self._settings.oauth_token_file is not None:
            try:
                return _checked_token(read_secret(self._settings.oauth_token_file, "kafka.oauth_token_file"))
            except SettingsError as error:
                raise TokenRefusedError(str(error)) from error
        return _checked_token(_output_of(self._settings.oauth_token_command or ""))


def _output_of(command: str) -> str:
    """Return the command's output. It is never logged, since it may be the token."""
    try:
        args = shlex.split(command)
        done = subprocess.run(args, capture_output=True, text=True, check=True, timeout=COMMAND_LIMIT_S)  # noqa: S603 - the user's own command
    except (OSError, ValueError, IndexError) as error:
        raise TokenRefusedError(f"kafka.oauth_token_command: expected a command to run, got: {error}") from error
    except subprocess.CalledProcessError as error:
        raise TokenRefusedError(
            f"kafka.oauth_token_command: expected a token, got exit code {error.returncode}; run it by hand to see why"
        ) from None
    except subprocess.TimeoutExpired:
        raise TokenRefusedError(
            f"kafka.oauth_token_command: expected a token within {COMMAND_LIMIT_S:g} s, got none"
        ) from None
    return done.stdout.strip()


def _checked_token(token: str) -> str:
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise TokenRefusedError("OAUTHBEARER: expected a token of visible ASCII characters, got something else")
    return token


def _password(settings: KafkaSettings) -> str:
    if settings.password_file is not None:
        try:
            return read_secret(settings.password_file, "kafka.password_file")
        except SettingsError as error:
            raise CredentialsError(str(error)) from error
    return "" if settings.password is None else settings.password.get_secret_value()


def _ssl_context(settings: KafkaSettings) -> ssl.SSLContext:
    """Return an SSL context that verifies the broker's certificate and host name."""
    try:
        context = ssl.create_default_context(cafile=settings.ssl_ca_file)
    except OSError as error:  # ssl.SSLError is one
        raise CredentialsError(
            f"kafka.ssl_ca_file: expected certificates (PEM) in {settings.ssl_ca_file}, got: {error}"
        ) from error
    try:
        if settings.ssl_cert_file is not None:
            context.load_cert_chain(settings.ssl_cert_file, settings.ssl_key_file, _no_password)
    except (OSError, ValueError) as error:
        raise CredentialsError(
            f"kafka.ssl_cert_file: expected a certificate and its key (PEM) in {settings.ssl_cert_file} and "
            f"{settings.ssl_key_file}, got: {error}"
        ) from error
    return context


def _no_password() -> str:
    """Raise an error: OpenSSL would otherwise prompt for the password on the terminal."""
    raise ValueError("an encrypted key")
