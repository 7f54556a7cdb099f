"""The settings of the Kafka client: brokers, group, limits and login."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, model_validator

from triptych.settings.section import NotEmpty, NotNegative, Section
from triptych.units import MIB


class KafkaSettings(Section):
    """The broker, and how much is asked of it."""

    bootstrap_servers: NotEmpty = "127.0.0.1:9092"
    """Where to find the brokers: `host:port`, several parted by commas."""

    session_timeout_ms: Annotated[int, Field(ge=6_000, le=1_800_000)] = 45_000
    """How long a worker that does not answer keeps its partitions. Long enough for a pause in which Python cannot
    answer; a crash costs as much. The lower bound is the broker's own."""

    max_poll_interval_ms: Annotated[int, Field(ge=6_000)] = 120_000
    """How long a worker's loop may stand still before the group goes on without it, and how long the group waits for a
    worker that gives up partitions. The loop does not wait for the model, however slow that is."""

    hand_over_limit_ms: NotNegative = 20_000
    """How long a worker that has to give up partitions may finish and publish what is in flight of them. What takes
    longer is left to the next owner, who does it again."""

    group_instance_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,249}$")] | None = None
    """A name of this worker alone, which it keeps from one start to the next: back within the session time-out, it goes
    on with its partitions and nobody else is disturbed. All workers of a pipeline have one, or none has."""

    max_record_bytes: Annotated[int, Field(ge=1_024, le=1_000_000_000)] = 8 * MIB
    """The largest record, key and headers included: a 4K picture as JPEG fits. Topics are made with the same limit."""

    offset_gone: Literal["earliest", "latest", "stop"] = "earliest"
    """What to do when retention has deleted the record at a committed offset: go on with the oldest that is left, go
    on with what comes, or stop. It is counted and logged in any case."""

    transaction_timeout_ms: Annotated[int, Field(ge=5_000, le=900_000)] = 15_000
    """How long a transaction may take; with `delivery = "exactly_once"` only. The broker ends one that took longer, for
    instance of a worker that died; until then nobody reads what lies behind it. The upper bound is the broker's own."""

    publisher_max_in_flight_bytes: Annotated[int, Field(ge=MIB)] = 64 * MIB
    """What a program may hold that the broker has not acknowledged. The client itself knows no bound, so a broker that
    is away would fill the memory."""

    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    """Whether connections are encrypted (`SSL`) and whether we log in (`SASL`), in Kafka's own words."""

    ssl_ca_file: Path | None = None
    """The authorities whose certificates we trust (PEM); without it the system's own."""

    ssl_cert_file: Path | None = None
    """Our own certificate (PEM), where the broker asks for one."""

    ssl_key_file: Path | None = None
    """The key of that certificate (PEM, not encrypted)."""

    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"] | None = None
    """How to log in. PLAIN shows the broker the password, the SCRAMs do not."""

    username: NotEmpty | None = None
    """Who we are, for PLAIN and SCRAM."""

    password: SecretStr | None = None
    """The password of `username`; never shown. Other programs of the machine may read a variable: prefer the file."""

    password_file: Path | None = None
    """A file with that password instead, read again for each connection."""

    oauth_token_file: Path | None = None
    """A file with the token for OAUTHBEARER, read again for each connection: somebody else renews it there."""

    oauth_token_command: NotEmpty | None = None
    """A command that prints the token instead, run for each connection, without a shell. It should answer at once."""

    @model_validator(mode="after")
    def _login_is_whole(self) -> Self:
        if self.security_protocol.startswith("SASL") != (self.sasl_mechanism is not None):
            raise ValueError(
                f"sasl_mechanism and a security_protocol with SASL need one another, got {self.sasl_mechanism} "
                f"with {self.security_protocol}"
            )
        passwords = (self.password is not None) + (self.password_file is not None)
        tokens = (self.oauth_token_file is not None) + (self.oauth_token_command is not None)
        by_token = self.sasl_mechanism == "OAUTHBEARER"
        if by_token and tokens != 1:
            raise ValueError("a login by OAUTHBEARER needs one of oauth_token_file and oauth_token_command")
        if self.sasl_mechanism and not by_token and (self.username is None or passwords != 1):
            raise ValueError(
                f"a login by {self.sasl_mechanism} needs username, and password or password_file, one of them"
            )
        return self

    @model_validator(mode="after")
    def _certificate_is_whole(self) -> Self:
        if (self.ssl_cert_file is None) != (self.ssl_key_file is None):
            raise ValueError("ssl_cert_file and ssl_key_file need one another")
        return self

    @model_validator(mode="after")
    def _group_waits_for_a_hand_over(self) -> Self:
        longest_ms = self.max_poll_interval_ms - 5_000
        if self.hand_over_limit_ms > longest_ms:
            raise ValueError(
                f"hand_over_limit_ms must be at most {longest_ms}, 5 s below max_poll_interval_ms, "
                f"else the group goes on without the worker that hands over; got {self.hand_over_limit_ms}"
            )
        return self
