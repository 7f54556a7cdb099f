"""The HTTP endpoints of a program, over real connections."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPConnection
from urllib.parse import urlsplit

import pytest
from prometheus_client import CollectorRegistry, Counter
from structlog.testing import capture_logs

from triptych.schemas.errors import UsageError
from triptych.service.health import Health
from triptych.service.status import StatusServer

STARTING = {"model_warm": "not loaded yet", "partitions_assigned": "none yet"}


@dataclass(frozen=True, slots=True)
class Answer:
    """The parts of a response that the tests compare."""

    status: int
    content_type: str
    body: str


@dataclass(frozen=True, slots=True)
class Program:
    """A program with status endpoints, seen from outside."""

    health: Health
    server: StatusServer

    def ask(self, path: str, method: str = "GET", headers: dict[str, str] | None = None) -> Answer:
        """Send one request and return the response."""
        connection = HTTPConnection(urlsplit(self.server.url).netloc, timeout=10)
        try:
            connection.request(method, path, headers=headers or {})
            response = connection.getresponse()
            return Answer(response.status, response.headers["Content-Type"], response.read().decode())
        finally:
            connection.close()


@pytest.fixture
def program() -> Iterator[Program]:
    """A program that serves its status on a free port."""
    health = Health(starting=STARTING)
    with StatusServer("127.0.0.1", 0, CollectorRegistry(), health) as server:
        yield Program(health, server)


def test_healthz_is_200_with_heartbeats_and_503_with_the_reason_without() -> None:
    """The body tells the reason to whoever looks into a restart."""
    health = Health(stall_after_s=-1)
    with StatusServer("127.0.0.1", 0, CollectorRegistry(), health) as server:
        program = Program(health, server)
        assert program.ask("/healthz") == Answer(200, "application/json", '{"ok": true, "missing": {}}\n')
        health.beat()
        answer = program.ask("/healthz")
        assert answer.status == 503
        assert "loop" in json.loads(answer.body)["missing"]


def test_readyz_names_unmet_conditions(program: Program) -> None:
    """503 until all are met."""
    answer = program.ask("/readyz")
    assert answer.status == 503
    assert json.loads(answer.body) == {"ok": False, "missing": STARTING}
    for name in STARTING:
        program.health.set_ready(name, ready=True)
    assert program.ask("/readyz") == Answer(200, "application/json", '{"ok": true, "missing": {}}\n')


def test_an_unknown_path_is_404_with_the_known_ones(program: Program) -> None:
    """The query is ignored."""
    answer = program.ask("/")
    assert answer.status == 404
    assert "/readyz" in answer.body
    assert program.ask("/healthz?verbose=1").status == 200


def test_head_has_no_body_and_other_methods_are_not_implemented(program: Program) -> None:
    """Probes use HEAD and GET."""
    assert program.ask("/healthz", "HEAD") == Answer(200, "application/json", "")
    assert program.ask("/healthz", "POST").status == 501


@pytest.mark.parametrize("path", ["/metrics", "/healthz", "/readyz", "/elsewhere"])
def test_with_a_token_only_requests_that_carry_it_are_served(path: str) -> None:
    """Others get no information, and no error repeats what they sent."""
    health = Health()
    with StatusServer("127.0.0.1", 0, CollectorRegistry(), health, token="s3cret") as server:  # noqa: S106 - the example
        program = Program(health, server)
        for authorization in (None, "Bearer wrong", "Bearer s3cre", "Basic s3cret", "s3cret", "Bearer \xff"):
            answer = program.ask(path, headers={} if authorization is None else {"Authorization": authorization})
            assert (answer.status, answer.content_type) == (401, "application/json")
            assert "s3cre" not in answer.body
        assert program.ask(path, headers={"Authorization": "Bearer s3cret"}).status in {200, 503, 404}


def test_metrics_are_those_of_the_registry() -> None:
    """At the time of the request."""
    registry = CollectorRegistry()
    counter = Counter("example", "An example.", registry=registry)
    with StatusServer("127.0.0.1", 0, registry, Health()) as server:
        counter.inc(3)
        assert "example_total 3.0" in Program(Health(), server).ask("/metrics").body


def test_openmetrics_is_served_on_request(program: Program) -> None:
    """Prometheus asks for it. The default is the plain text format."""
    assert program.ask("/metrics").content_type.startswith("text/plain")
    answer = program.ask("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert answer.content_type.startswith("application/openmetrics-text")
    assert answer.body.endswith("# EOF\n")


def test_a_port_in_use_is_a_usage_error() -> None:
    """The message names the address and the settings."""
    with socket.socket() as occupied:
        occupied.bind(("127.0.0.1", 0))
        occupied.listen()
        port = occupied.getsockname()[1]
        server = StatusServer("127.0.0.1", port, CollectorRegistry(), Health())
        with pytest.raises(UsageError, match=f"cannot listen on 127.0.0.1:{port}.*http.port"), server:
            pass


def test_a_run_beside_a_service_takes_another_port() -> None:
    """And says so. An address that is not ours is still an error."""
    with socket.socket() as occupied:
        occupied.bind(("127.0.0.1", 0))
        occupied.listen()
        port = occupied.getsockname()[1]
        beside = StatusServer("127.0.0.1", port, CollectorRegistry(), Health(), any_port=True)
        with capture_logs() as logs, beside as server:
            assert Program(Health(), server).ask("/healthz").status == 200
            assert urlsplit(server.url).port != port
        assert [line["event"] for line in logs][:2] == ["status_port_in_use", "status_server_listening"]
        assert logs[0]["port"] == port
    elsewhere = StatusServer("192.0.2.1", port, CollectorRegistry(), Health(), any_port=True)
    with pytest.raises(UsageError, match=r"cannot listen on 192\.0\.2\.1"), elsewhere:
        pass


def test_leaving_the_context_frees_the_port() -> None:
    """An open connection of a client does not delay it."""
    with (
        capture_logs(),
        StatusServer("127.0.0.1", 0, CollectorRegistry(), Health()) as server,
    ):
        address = urlsplit(server.url)
        idle = socket.create_connection((address.hostname or "", address.port or 0))
    with idle, pytest.raises(ConnectionRefusedError):
        socket.create_connection((address.hostname or "", address.port or 0))
