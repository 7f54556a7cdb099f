"""Logins to a real broker with TLS and access rules, and the errors of failed ones."""

from __future__ import annotations

import base64
import json
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.transport.conftest import installed_client
from tools.devservers import AccessRule, DevKafka
from tools.devservers.certificates import Certificates
from triptych.settings.kafka import KafkaSettings
from triptych.transport import open as clients
from triptych.transport.errors import BrokerUnavailableError, CredentialsError, NotAuthorizedError, TopicMissingError
from triptych.transport.protocols import Transport
from triptych.transport.records import Message, TopicPartition
from triptych.transport.topic_settings import TopicSettings

DEADLINE_S = 30.0
OWN_LIMIT_S = 8.0
"""Somewhat less than the time for which a client tries to connect."""

Login = Callable[..., KafkaSettings]


@pytest.fixture(params=["kafka-python", "librdkafka"])
def open_transport(request: pytest.FixtureRequest) -> Iterator[Callable[[KafkaSettings], Transport]]:
    """Open transports of each client, and close them at the end."""
    chosen = installed_client(request.param)
    opened: list[Transport] = []

    def make(settings: KafkaSettings) -> Transport:
        opened.append(clients.open_transport(settings.model_copy(update={"client": chosen})))
        return opened[-1]

    yield make
    for transport in opened:
        transport.close()


@pytest.fixture
def topic(login: Login, open_transport: Callable[[KafkaSettings], Transport]) -> str:
    """A topic for the test, created by admin."""
    name = f"contract-{uuid.uuid4().hex[:12]}"
    open_transport(login("suite")).admin().create([TopicSettings(name, 1)])
    return name


def _token(user: str) -> str:
    """Return an unsigned token that the test broker accepts."""

    def part(fields: dict[str, object]) -> str:
        return base64.urlsafe_b64encode(json.dumps(fields).encode()).rstrip(b"=").decode()

    now_s = int(time.time())
    return f"{part({'alg': 'none'})}.{part({'sub': user, 'iat': now_s, 'exp': now_s + 3_600})}."


@pytest.mark.parametrize(
    "how", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "a password file", "a token file", "a token command"]
)
def test_each_login_mechanism_can_send_and_read(
    login: Login, open_transport: Callable[[KafkaSettings], Transport], topic: str, tmp_path: Path, how: str
) -> None:
    """Over TLS, with access rules."""
    secret = tmp_path / "secret"
    secret.write_text(("suite-secret" if how == "a password file" else _token("suite")) + "\n")
    by_token = {"sasl_mechanism": "OAUTHBEARER", "username": None, "password": None}
    changes: dict[str, dict[str, object]] = {
        "a password file": {"password": None, "password_file": secret},
        "a token file": {**by_token, "oauth_token_file": secret},
        "a token command": {**by_token, "oauth_token_command": f"cat '{secret}'"},
    }
    transport = open_transport(login("suite", **changes.get(how, {"sasl_mechanism": how})))

    transport.publisher().send(Message(topic, b"k", b"v")).result(DEADLINE_S)

    reader = transport.reader({TopicPartition(topic, 0): 0})
    deadline_s = time.monotonic() + DEADLINE_S
    while not (records := reader.poll(1).records):
        assert time.monotonic() < deadline_s
    assert [record.value for record in records] == [b"v"]


def refused_at_once(transport: Transport, client: str, reason: str) -> pytest.ExceptionInfo[NotAuthorizedError]:
    """Connect, and check that this is refused before the client gives up by itself, in one of three attempts.

    On a busy machine the login alone may take as long.
    """
    took_s: list[float] = []
    while not took_s or (min(took_s) >= OWN_LIMIT_S and len(took_s) < 3):
        began_s = time.monotonic()
        with pytest.raises(NotAuthorizedError, match=reason) as caught:
            transport.reader({}) if client == "reader" else getattr(transport, client)()
        took_s.append(time.monotonic() - began_s)
    assert min(took_s) < OWN_LIMIT_S
    return caught


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
@pytest.mark.parametrize("client", ["reader", "publisher", "admin"])
def test_a_wrong_password_is_reported_at_once_in_one_line(
    login: Login, open_transport: Callable[[KafkaSettings], Transport], mechanism: str, client: str
) -> None:
    """The client itself would try for ten seconds and report that no broker answered."""
    transport = open_transport(login("suite", password="hunter2", sasl_mechanism=mechanism))  # noqa: S106 - wrong on purpose

    caught = refused_at_once(transport, client, "the credentials were refused")

    assert caught.value.exit_code == 5
    assert "\n" not in str(caught.value)
    assert "hunter2" not in str(caught.value)


def mutual(broker: DevKafka, certificate: tuple[Path, Path] | None) -> KafkaSettings:
    """Return the settings of a client with or without a certificate, for the mutual TLS listener."""
    cert, key = certificate or (None, None)
    return KafkaSettings(
        bootstrap_servers=broker.mutual_bootstrap_servers,
        security_protocol="SSL",
        ssl_ca_file=broker.ca_file,
        ssl_cert_file=cert,
        ssl_key_file=key,
    )


def test_a_client_certificate_is_a_login(
    open_transport: Callable[[KafkaSettings], Transport], secured_kafka: DevKafka, topic: str
) -> None:
    """Mutual TLS: the broker takes the user from it, and access rules apply to that user."""
    transport = open_transport(mutual(secured_kafka, secured_kafka.certificate("suite")))

    transport.publisher().send(Message(topic, b"k", b"v")).result(DEADLINE_S)

    reader = transport.reader({TopicPartition(topic, 0): 0})
    deadline_s = time.monotonic() + DEADLINE_S
    while not (records := reader.poll(1).records):
        assert time.monotonic() < deadline_s
    assert [record.value for record in records] == [b"v"]
    with pytest.raises(NotAuthorizedError, match="ACLs"):
        transport.admin().create([TopicSettings("not-ours", 1)])


@pytest.mark.parametrize("shown", ["none", "another authority's"])
@pytest.mark.parametrize("client", ["reader", "publisher", "admin"])
def test_a_rejected_certificate_is_reported_at_once_in_one_line(
    open_transport: Callable[[KafkaSettings], Transport],
    secured_kafka: DevKafka,
    tmp_path: Path,
    shown: str,
    client: str,
) -> None:
    """The broker reports it only after the handshake, just before it closes the connection."""
    certificate = None if shown == "none" else Certificates.make(tmp_path).for_client("suite")
    transport = open_transport(mutual(secured_kafka, certificate))

    caught = refused_at_once(transport, client, r"the broker rejected our certificate, .*kafka\.ssl_cert_file")

    assert caught.value.exit_code == 5
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"ssl_ca_file": None}, CredentialsError, "is not trusted; see kafka.ssl_ca_file"),
        ({"ssl_ca_file": "/nowhere/ca.pem"}, CredentialsError, r"kafka\.ssl_ca_file: expected certificates"),
        (
            {"password": None, "password_file": "/nowhere/pw"},
            CredentialsError,
            r"kafka\.password_file: expected a readable file",
        ),
        (
            {"security_protocol": None, "sasl_mechanism": None, "ssl_ca_file": None},
            BrokerUnavailableError,
            r"\(PLAINTEXT\).*kafka\.security_protocol",
        ),
    ],
)
def test_other_mistakes_are_reported_with_the_setting(
    login: Login,
    open_transport: Callable[[KafkaSettings], Transport],
    changes: dict[str, object],
    error: type[Exception],
    words: str,
) -> None:
    """In one line each."""
    transport = open_transport(login("suite", **changes))

    with pytest.raises(error, match=words):
        transport.admin()


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (f"{sys.executable} -c 'import sys; print(\"hunter2\"); sys.exit(3)'", "got exit code 3"),
        (f"{sys.executable} -c 'print(\"hunter2 too\")'", "visible ASCII characters"),
        ("/nowhere/token", "expected a command to run"),
        ("'", "expected a command to run"),
    ],
)
def test_the_error_of_a_token_command_does_not_contain_its_output(
    login: Login, open_transport: Callable[[KafkaSettings], Transport], command: str, words: str
) -> None:
    """The output may be a token."""
    changes = {"sasl_mechanism": "OAUTHBEARER", "username": None, "password": None, "oauth_token_command": command}
    transport = open_transport(login("suite", **changes))

    with pytest.raises(CredentialsError, match=words) as caught:
        transport.admin()

    assert "hunter2" not in str(caught.value)


def test_a_rejected_token_is_reported(login: Login, open_transport: Callable[[KafkaSettings], Transport]) -> None:
    """With the broker's own error."""
    changes = {"sasl_mechanism": "OAUTHBEARER", "username": None, "password": None, "oauth_token_command": "echo no.no"}
    with pytest.raises(NotAuthorizedError, match=r"invalid_token.*the credentials were refused"):
        open_transport(login("suite", **changes)).admin()


def test_operations_without_permission_are_reported_in_one_line(
    login: Login, open_transport: Callable[[KafkaSettings], Transport], secured_kafka: DevKafka, topic: str
) -> None:
    """With no permissions at first, and then with more."""
    guest = open_transport(login("guest"))
    tp = TopicPartition(topic, 0)
    with pytest.raises(
        NotAuthorizedError, match=r"^creating the topic \S+ at \S+: TopicAuthorizationFailed( \(\S+\))?: [^\n]+ACLs"
    ):
        guest.admin().create([TopicSettings(f"contract-{uuid.uuid4().hex}", 1)])
    with pytest.raises(TopicMissingError, match="a topic that this user may not describe looks the same"):
        guest.reader({tp: 0})
    # librdkafka asks for the id of its producer first, which needs the right to write to any topic.
    denied = rf"(TopicAuthorizationFailed \({topic}\)|for {topic}: ClusterAuthorizationFailed [^\n]+): [^\n]+ACLs"
    with pytest.raises(NotAuthorizedError, match=denied):
        guest.publisher().send(Message(topic, b"k", b"v")).result(DEADLINE_S)

    secured_kafka.allow(AccessRule("guest", ("DESCRIBE",), "TOPIC", topic))
    with pytest.raises(NotAuthorizedError, match=rf"TopicAuthorizationFailed \({topic}\): [^\n]+ACLs"):
        guest.reader({tp: 0}).poll(DEADLINE_S)
    with pytest.raises(NotAuthorizedError, match=r"rejected a record of 2 bytes for \S+: [^\n]+ACLs"):
        guest.publisher().send(Message(topic, b"k", b"v")).result(DEADLINE_S)

    secured_kafka.allow(AccessRule("guest", ("READ",), "TOPIC", topic))
    with pytest.raises(NotAuthorizedError, match=r"GroupAuthorizationFailed \(crowd\): [^\n]+ACLs"):
        guest.group_consumer([topic], "crowd").poll(DEADLINE_S)
