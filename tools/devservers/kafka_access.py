"""A broker with TLS, logins and access rules.

It has two listeners: one for logins with a password or token, and one for client certificates (mutual TLS).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from tools.devservers.certificates import Certificates

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

ADMIN: Final = "admin"
SCRAMS: Final = ("SCRAM-SHA-256", "SCRAM-SHA-512")
_JAAS: Final = {
    "plain": "org.apache.kafka.common.security.plain.PlainLoginModule",
    "scram-sha-256": "org.apache.kafka.common.security.scram.ScramLoginModule",
    "scram-sha-512": "org.apache.kafka.common.security.scram.ScramLoginModule",
    "oauthbearer": "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule",
}
_UNSECURED: Final = "org.apache.kafka.common.security.oauthbearer.internals.unsecured.OAuthBearerUnsecured"


@dataclass(frozen=True, slots=True)
class KafkaAccess:
    """The users: they log in with PLAIN, SCRAM (same password), or an unsigned OAUTHBEARER token.

    On the listener for client certificates, the certificate names the user.

    Attributes:
        passwords: by user. Every user needs access rules, except `admin`, who may do everything.
    """

    passwords: Mapping[str, str] = field(default_factory=lambda: {ADMIN: "admin-secret"})


class AccessRule(NamedTuple):
    """What a user may do with a topic or a group, with Kafka's names of the operations."""

    user: str
    operations: tuple[str, ...]
    kind: str
    name: str
    prefixed: bool = False


class AccessFiles:
    """The files and settings that such a broker needs."""

    def __init__(self, access: KafkaAccess, folder: Path) -> None:
        self._access = access
        self._certificates = Certificates.make(folder)
        self.ca_file = self._certificates.ca
        self._keystore = folder / "keystore.pem"
        self._keystore.write_text(self._certificates.key.read_text() + self._certificates.cert.read_text())

    def format_flags(self) -> list[str]:
        """Return the flags that create the SCRAM users when the storage is formatted."""
        return [
            part
            for user, password in self._access.passwords.items()
            for mechanism in SCRAMS
            for part in ("--add-scram", f"{mechanism}=[name={user},password={password}]")
        ]

    def admin_configs(self) -> dict[str, object]:
        """Return the settings with which a kafka-python client logs in as admin."""
        return {
            "security_protocol": "SASL_SSL",
            "ssl_cafile": str(self.ca_file),
            "sasl_mechanism": "PLAIN",
            "sasl_plain_username": ADMIN,
            "sasl_plain_password": self._access.passwords[ADMIN],
        }

    def certificate(self, user: str) -> tuple[Path, Path]:
        """Create a user's certificate; return the paths of it and its key."""
        return self._certificates.for_client(user)

    def properties(self, host: str, port: int, mutual_port: int, controller_port: int) -> dict[str, str]:
        """Return the lines of server.properties."""
        listener = "listener.name.sasl_ssl"
        users = " ".join(f'user_{user}="{password}"' for user, password in self._access.passwords.items())
        logins = {"plain": f" {users}", "oauthbearer": ' unsecuredLoginStringClaim_sub="broker"'}
        return {
            "listeners": f"SASL_SSL://{host}:{port},SSL://{host}:{mutual_port},CONTROLLER://{host}:{controller_port}",
            "advertised.listeners": f"SASL_SSL://{host}:{port},SSL://{host}:{mutual_port}",
            # The broker connects to itself on the controller listener, which only this machine can reach.
            "listener.security.protocol.map": "SASL_SSL:SASL_SSL,SSL:SSL,CONTROLLER:PLAINTEXT",
            "inter.broker.listener.name": "SASL_SSL",
            "sasl.mechanism.inter.broker.protocol": "SCRAM-SHA-512",
            "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER",
            **{
                f"{listener}.{mechanism}.sasl.jaas.config": f"{module} required{logins.get(mechanism, '')};"
                for mechanism, module in _JAAS.items()
            },
            f"{listener}.oauthbearer.sasl.server.callback.handler.class": f"{_UNSECURED}ValidatorCallbackHandler",
            f"{listener}.oauthbearer.sasl.login.callback.handler.class": f"{_UNSECURED}LoginCallbackHandler",
            "listener.name.ssl.ssl.client.auth": "required",
            "listener.name.ssl.ssl.principal.mapping.rules": "RULE:^CN=([^,]+).*$/$1/",
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(self._keystore),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(self.ca_file),
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": f"User:{ADMIN};User:ANONYMOUS",
        }


def allow(admin_configs: Mapping[str, object], rules: Iterable[AccessRule]) -> None:
    """Add access rules, connected as admin."""
    from kafka import KafkaAdminClient  # noqa: PLC0415 - the launcher must work without the client
    from kafka.admin import (  # noqa: PLC0415
        ACL,
        ACLOperation,
        ACLPermissionType,
        ACLResourcePatternType,
        ResourcePattern,
        ResourceType,
    )

    acls = [
        ACL(
            principal=f"User:{rule.user}",
            host="*",
            operation=ACLOperation[operation],
            permission_type=ACLPermissionType.ALLOW,
            resource_pattern=ResourcePattern(
                ResourceType[rule.kind],
                rule.name,
                ACLResourcePatternType.PREFIXED if rule.prefixed else ACLResourcePatternType.LITERAL,
            ),
        )
        for rule in rules
        for operation in rule.operations
    ]
    client = KafkaAdminClient(**admin_configs)
    try:
        failed = client.create_acls(acls)["failed"]
    finally:
        client.close()
    if failed:
        raise RuntimeError(f"the broker rejected these access rules: {failed}")
