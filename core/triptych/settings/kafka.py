"""Settings of the Kafka clients: brokers, consumer group, limits and authentication."""

from __future__ import annotations

import re
import socket
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator

from triptych.settings.section import NotEmpty, NotNegative, Section
from triptych.units import MIB

HOST_NAME: Final = "@hostname"


class KafkaSettings(Section):
    """The connection to Kafka."""

    client: Literal["auto", "kafka-python", "librdkafka"] = "auto"
    """The client library. `kafka-python` is always installed. `librdkafka` is a client in C, from the extra of that
    name: it takes much less CPU time, above all for reading. `auto` is `kafka-python`, unless its packages for
    checksums and codecs are missing and the extra is installed."""

    bootstrap_servers: NotEmpty = "127.0.0.1:9092"
    """Bootstrap servers as `host:port`, separated by commas."""

    session_timeout_ms: Annotated[int, Field(ge=6_000, le=1_800_000)] = 45_000
    """Time in milliseconds after which the group considers a silent worker dead and reassigns its partitions. It must
    exceed pauses in which Python cannot send heartbeats. After a crash, results are delayed by as much. The lower bound
    is the broker's default `group.min.session.timeout.ms`."""

    max_poll_interval_ms: Annotated[int, Field(ge=6_000)] = 120_000
    """Time in milliseconds that may pass between two polls before the worker leaves the group, and that a rebalance
    waits for a worker to complete a revocation. A slow model does not delay polls."""

    hand_over_limit_ms: NotNegative = 20_000
    """Time in milliseconds that a worker may spend to finish the work in flight of revoked partitions. The next owner
    repeats whatever takes longer. Increase it for a slow model; it must stay 5 s below `max_poll_interval_ms`."""

    group_instance_id: Annotated[str, Field(pattern=r"^([A-Za-z0-9._-]{1,249}|@hostname)$")] | None = None
    """Name of this worker for static membership, unique in the group and the same after each restart. A worker that is
    back within the session timeout keeps its partitions, without a rebalance. Set it for all workers of a pipeline or
    for none. `@hostname` stands for the host name, which a container of Compose or a pod of a StatefulSet keeps."""

    max_record_bytes: Annotated[int, Field(ge=1_024, le=1_000_000_000)] = 8 * MIB
    """Maximum size of a record in bytes, including key and headers. The default fits a 4K frame as JPEG.
    `triptych topics create` sets the same limit on the topics."""

    offset_gone: Literal["earliest", "latest", "stop"] = "earliest"
    """What to do when retention has deleted the record at a committed offset: continue at the oldest record, continue
    at the end of the topic, or stop. The loss is counted and logged in any case."""

    unreadable_batch: Literal["skip", "stop"] = "skip"
    """What to do with a batch that cannot be read, for example because its checksum is wrong: continue with the next
    batch, or stop reading its partition. It never stops the others. What is skipped is counted and logged with topic,
    partition and offset. With `stop`, a worker that ends by itself (`--until-end`, `--from`) ends with exit code 8 when
    the rest is done, and a program outside the worker's group when it has read up to the batch."""

    transaction_timeout_ms: Annotated[int, Field(ge=5_000, le=900_000)] = 15_000
    """Time in milliseconds after which the broker aborts a transaction, for example of a crashed worker. Until then
    consumers of committed records wait at its position. It applies to `delivery = "exactly_once"` only. The broker
    limits it from above (`transaction.max.timeout.ms`)."""

    earlier_partitions: Annotated[str, Field(pattern=r"^([1-9]\d{0,4}(,[1-9]\d{0,4})*)?$")] = ""
    """Numbers of partitions that the topics had before they grew, separated by commas: records that were sent by them
    are at their place. Workers know these numbers from their own commits; a pipeline that began after the growth, and
    reads records from before it, does not (`docs/growing-topics.md`)."""

    publisher_max_in_flight_bytes: Annotated[int, Field(ge=MIB)] = 64 * MIB
    """Maximum number of bytes sent but not yet acknowledged. At the limit, sending blocks. It bounds the memory of a
    program while the brokers are unavailable."""

    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    """Kafka's security protocol: whether connections are encrypted (`SSL`) and authenticated (`SASL`)."""

    ssl_ca_file: Path | None = None
    """PEM file with the trusted certificate authorities. By default those of the operating system."""

    ssl_cert_file: Path | None = None
    """PEM file with the client certificate, for brokers that require one."""

    ssl_key_file: Path | None = None
    """PEM file with the unencrypted private key of the client certificate."""

    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"] | None = None
    """SASL mechanism. PLAIN reveals the password to the broker; SCRAM does not."""

    username: NotEmpty | None = None
    """User name for PLAIN and SCRAM."""

    password: SecretStr | None = None
    """Password of `username`. It is never printed. Other processes may be able to read an environment variable: prefer
    `password_file`."""

    password_file: Path | None = None
    """File that holds the password, read for each connection. Set it instead of `password`."""

    oauth_token_file: Path | None = None
    """File that holds the token for OAUTHBEARER, read for each connection. Another program must renew the token."""

    oauth_token_command: NotEmpty | None = None
    """Command that prints the token for OAUTHBEARER, run for each connection without a shell. It should return at once.
    Set it instead of `oauth_token_file`."""

    @field_validator("group_instance_id")
    @classmethod
    def _name_of_this_host(cls, name: str | None) -> str | None:
        """Resolve `@hostname`."""
        if name != HOST_NAME:
            return name
        host = socket.gethostname()
        if not re.fullmatch(r"[A-Za-z0-9._-]{1,249}", host):
            raise ValueError(f"expected a host name of letters, digits, '.', '_' and '-' for {HOST_NAME}, got {host!r}")
        return host

    @model_validator(mode="after")
    def _check_authentication(self) -> Self:
        if self.security_protocol.startswith("SASL") != (self.sasl_mechanism is not None):
            raise ValueError(
                f"sasl_mechanism and a security_protocol with SASL must be set together, got {self.sasl_mechanism} "
                f"with {self.security_protocol}"
            )
        passwords = (self.password is not None) + (self.password_file is not None)
        tokens = (self.oauth_token_file is not None) + (self.oauth_token_command is not None)
        by_token = self.sasl_mechanism == "OAUTHBEARER"
        if by_token and tokens != 1:
            raise ValueError("authentication by OAUTHBEARER needs either oauth_token_file or oauth_token_command")
        if self.sasl_mechanism and not by_token and (self.username is None or passwords != 1):
            raise ValueError(
                f"authentication by {self.sasl_mechanism} needs username, and either password or password_file"
            )
        return self

    @model_validator(mode="after")
    def _check_certificate(self) -> Self:
        if (self.ssl_cert_file is None) != (self.ssl_key_file is None):
            raise ValueError("ssl_cert_file and ssl_key_file must be set together")
        return self

    @model_validator(mode="after")
    def _check_hand_over_limit(self) -> Self:
        longest_ms = self.max_poll_interval_ms - 5_000
        if self.hand_over_limit_ms > longest_ms:
            raise ValueError(
                f"hand_over_limit_ms must be at most {longest_ms}, 5 s below max_poll_interval_ms, or the group "
                f"removes the worker before it has handed over its partitions; got {self.hand_over_limit_ms}"
            )
        return self
