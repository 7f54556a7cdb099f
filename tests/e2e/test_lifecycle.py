"""How the programs start, stop and fail."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from tests.e2e.films import write_film
from tests.e2e.programs import Installation, by_id, status_response, wait_until
from tools.devservers.ports import free_ports
from triptych.schemas.names import TOPIC_OF, VIDEO_TOPIC

if TYPE_CHECKING:
    from pathlib import Path

    from tools.devservers import DevKafka

Install = Callable[..., Installation]
START = "2026-01-01T00:00:00Z"
SIGTERM_EXIT = 128 + 15
READY = 200
NOT_READY = 503


def test_the_demo_shows_all_three_clips_and_ends_by_itself(install: Install) -> None:
    """Without any server: it has no addresses, and would fail if it tried to connect. It also answers questions."""
    command = ("demo", "--model", "null", "--ask")
    done = install().run(*command, TRIPTYCH_KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:1").succeeded()

    for stream in ("librivox_city_15s", "bbb_5s_51ch", "sintel_608_10s"):
        assert stream in done.out
    assert "Said: “unless to be rather cold-hearted" in done.out


# --- signals ----------------------------------------------------------------------------------------------------------


def test_a_stopped_worker_publishes_its_work_and_the_next_one_continues(install: Install, tmp_path: Path) -> None:
    """SIGTERM while it is busy: exit code 0, and every window once in the end."""
    here = install(TRIPTYCH_WINDOW_SIZE_MS="500")
    film = write_film(tmp_path / "hall.mkv", seconds=30, tone_hz=440)
    here.run("produce", str(film), "--start-at", START).succeeded()
    with here.running("work", TRIPTYCH_BATCH_MAX_WINDOWS="1") as worker:
        wait_until(lambda: here.count_results() > 0, "a first result")
        stopped = worker.stop().succeeded()
    assert [event["reason"] for event in stopped.events("stopping")] == ["signal"]

    rest = here.run("work", "--until-end").succeeded()

    assert len(by_id(here.in_topic())) == 60
    assert by_id(here.in_redis()) == by_id(here.in_topic())
    assert not rest.events("items_late")


def test_a_second_signal_ends_a_worker_at_once(install: Install, strict_kafka: DevKafka, tmp_path: Path) -> None:
    """When the first one waits for a broker that does not answer."""
    here = install()
    film = write_film(tmp_path / "hall.mkv", seconds=4, tone_hz=440)
    here.run("produce", str(film), "--start-at", START).succeeded()
    with here.running("work") as worker:
        wait_until(lambda: here.count_results() == 2, "its first work to be done")
        strict_kafka.freeze()
        try:
            worker.terminate()
            worker.wait_for("stopping")
            worker.terminate()
            assert worker.wait().exit_code == SIGTERM_EXIT  # it would end by itself with another one
        finally:
            strict_kafka.thaw()


# --- usage errors------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "variables", "said"),
    [
        (["work"], {"TRIPTYCH_PIPELINE": "nobody"}, "`triptych topics create --pipeline nobody` creates it"),
        (["topics", "check"], {"TRIPTYCH_PIPELINE": "nobody"}, "`triptych topics create --pipeline nobody` creates it"),
        (["work"], {"TRIPTYCH_KAFKA_BOOTSTRAP": "x:1"}, "did you mean TRIPTYCH_KAFKA_BOOTSTRAP_SERVERS?"),
        (["produce", "no-such-film.mkv"], {}, "no-such-film.mkv"),
        (["watch", "--since", "yesterday"], {}, "yesterday"),
        (["work", "--model", "huge"], {}, "no model is called 'huge'; there are: base"),
    ],
)
def test_a_usage_error_is_explained_and_exits_with_2(
    install: Install, args: list[str], variables: dict[str, str], said: str
) -> None:
    """No traceback, and what to do about it."""
    done = install(**variables).run(*args)

    assert done.exit_code == 2
    assert said in done.err
    assert "Traceback" not in done.err


def test_created_topics_pass_the_check(install: Install) -> None:
    """`create` is idempotent; retention and partitions are applied."""
    here = install()
    here.delete_inputs()

    made = here.run("topics", "create").succeeded()
    again = here.run("topics", "create").succeeded()
    checked = here.run("topics", "check").succeeded()

    assert f"{VIDEO_TOPIC}: created with 6 partitions" in made.out
    assert again.out == "nothing to do\n"
    assert checked.out == "all 9 topics have the required settings\n"


# --- observability ----------------------------------------------------------------------------------------------------


def test_a_worker_reports_its_readiness_and_metrics(install: Install, strict_kafka: DevKafka, tmp_path: Path) -> None:
    """It is healthy from the start, ready when it has model and partitions, and counts its work."""
    here = install()
    (port,) = free_ports(1)
    film = write_film(tmp_path / "hall.mkv", seconds=12, tone_hz=440)
    with ExitStack() as stack:
        strict_kafka.freeze()  # it cannot get ready before it is looked at
        try:
            worker = stack.enter_context(here.running("work", TRIPTYCH_HTTP_PORT=str(port)))
            wait_until(lambda: status_response(port, "/healthz")[0] == READY, "its status server")
            status, said = status_response(port, "/readyz")
        finally:
            strict_kafka.thaw()
        assert status == NOT_READY
        assert "model_warm" in said
        assert "partitions_assigned" in said
        wait_until(lambda: status_response(port, "/readyz")[0] == READY, "it to be ready")
        assert len(worker.events("partitions_assigned")) == 1
        assert status_response(port, "/healthz")[0] == READY

        here.run("produce", str(film), "--start-at", START).succeeded()
        wait_until(lambda: _counted(port, 'triptych_windows_total{closed_by="progress"}') >= 5, "windows to be counted")
        wait_until(lambda: _counted(port, "triptych_results_total") == 6, "results to be counted")
        assert _counted(port, 'triptych_records_total{modality="audio"}') == len(here.records(TOPIC_OF["audio"]))
        assert _counted(port, "triptych_partitions") == 6
        worker.stop().succeeded()


def _counted(port: int, series: str) -> float:
    lines = status_response(port, "/metrics")[1]
    found = re.search(rf"^{re.escape(series)} (\S+)$", lines, re.MULTILINE)
    return float(found[1]) if found else -1.0


def test_settings_are_printed_without_secrets(install: Install) -> None:
    """Bug reports must not contain passwords."""
    done = install().run("config", TRIPTYCH_REDIS_URL="redis://:hunter2@127.0.0.1:6379/0").succeeded()

    assert "hunter2" not in done.out
    assert json.dumps("redis://") not in done.out
    assert "127.0.0.1:6379" in done.out
