"""The sample clip on secured servers: the same results as on open ones, and no secret in any output."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.e2e.programs import Finished, Installation, Program, assert_equal_results
from tests.servers import open_server
from tools.devservers.ports import free_ports
from tools.devservers.secured import USERS, SecuredServers
from triptych.schemas.codec import parse_result
from triptych.schemas.results import Result

FILM = "librivox_city_15s.mkv"
START = "2026-01-01T00:00:00Z"


class Secured:
    """The programs on secured servers, each with its own user's settings."""

    def __init__(self, folder: Path, open_installation: Installation) -> None:
        self._folder = folder
        self._environ = {
            name: value
            for name, value in open_installation.environ().items()
            if not name.startswith(("TRIPTYCH_KAFKA", "TRIPTYCH_REDIS", "TRIPTYCH_PIPELINE"))
        }
        self.said = ""

    def run(self, user: str, *args: str, **variables: str) -> Finished:
        """Run a program as one of the users."""
        environ = self._environ | {"TRIPTYCH_CONFIG": str(self._folder / f"{user}.toml")} | variables
        done = Program(args, environ, self._folder).wait()
        self.said += done.out + done.err
        return done


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder with the settings of the users, while the secured servers run."""
    with ExitStack() as stack:
        folder = tmp_path_factory.mktemp("secured")
        open_server(stack, lambda: SecuredServers(folder))
        yield folder


def _results(watched: Finished) -> list[Result]:
    return [parse_result(line.encode()) for line in watched.succeeded().out.splitlines()]


def _judgements(examined: Finished) -> dict[str, str]:
    """Return what `triptych doctor` does not find in order, by subject."""
    lines = [line.partition(":")[0].split(maxsplit=1) for line in examined.out.splitlines() if not line.startswith(" ")]
    return {line[1]: line[0] for line in lines if line[0] in {"wrong", "unknown"}}


@pytest.mark.timeout(300)  # two stacks of servers, and eleven programs one after the other
def test_secured_servers_give_the_same_results(
    install: Callable[..., Installation], clip: Callable[[str], str], folder: Path
) -> None:
    """Kafka uses TLS, SCRAM and ACLs; Redis uses TLS and an ACL user with few permissions."""
    opened = install()
    opened.run("produce", clip(FILM), "--start-at", START).succeeded()
    opened.run("work", "--until-end").succeeded()
    secured = Secured(folder, opened)

    secured.run("admin", "topics", "create").succeeded()
    secured.run("producer", "produce", clip(FILM), "--start-at", START).succeeded()
    secured.run("worker", "work", "--until-end").succeeded()

    expected = opened.in_topic()
    assert len(expected) == 8
    for source in ("redis", "kafka"):
        watched = _results(secured.run("watcher", "watch", "--json", "--until-end", "--from", source))
        assert_equal_results(watched, expected, same_records=False)
    examined = secured.run("doctor", "doctor")
    assert (examined.exit_code, _judgements(examined)) == (1, {"worker": "wrong"}), "only that no worker runs any more"
    for user in USERS:
        secured.run(user, "config").succeeded()
    passwords = [path.read_text().strip() for path in folder.glob("*.password")]
    assert len(passwords) == len(USERS) + 1
    assert not [password for password in passwords if password in secured.said]


@pytest.mark.parametrize(
    ("user", "args", "variables", "said"),
    [
        ("worker", ("work", "--until-end"), {"TRIPTYCH_KAFKA_USERNAME": "producer"}, "the credentials were refused"),
        ("watcher", ("watch", "--from", "kafka", "--until-end"), {"TRIPTYCH_KAFKA_SSL_CA_FILE": ""}, "ssl_ca_file"),
        ("producer", ("topics", "create", "--pipeline", "other"), {}, "access rules (ACLs) do not allow it"),
        ("watcher", ("watch", "--until-end"), {"TRIPTYCH_REDIS_PASSWORD_FILE": "/dev/null"}, "redis.password_file"),
        (
            "watcher",
            ("watch", "--until-end"),
            {"TRIPTYCH_REDIS_PASSWORD_FILE": "kafka-ca.pem"},
            "Redis refused the user or password",
        ),
    ],
)
def test_a_rejected_login_is_reported_in_one_line(
    install: Callable[..., Installation],
    folder: Path,
    user: str,
    args: tuple[str, ...],
    variables: dict[str, str],
    said: str,
) -> None:
    """At once, and without a traceback."""
    given = {name: str(folder / value) if value.endswith(".pem") else value for name, value in variables.items()}
    secured = Secured(folder, install())

    done = secured.run(user, *args, **given, TRIPTYCH_HTTP_PORT=str(free_ports(1)[0]))

    assert done.exit_code in {2, 3, 5}
    last = done.err.strip().splitlines()[-1]
    assert last.startswith("triptych: ")
    assert said in last
    assert "Traceback" not in done.err
