"""`triptych describe` as users run it: a clip, a worker, a real Kafka, a scripted endpoint, and `kill -9`."""

from __future__ import annotations

import json
import signal
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from tests.e2e.programs import Installation, Program, status_response, wait_until
from tests.scripted_endpoint import ScriptedEndpoint, kinds, scripted_endpoint
from tools.devservers.ports import free_ports
from triptych.schemas.names import descriptions_topic
from triptych.schemas.perception.description_codec import decode_description

if TYPE_CHECKING:
    from collections.abc import Iterator

    from triptych.schemas.perception.descriptions import Description

NAME = "librivox_city_15s"
QUICK_SESSION = {"TRIPTYCH_KAFKA_SESSION_TIMEOUT_MS": "6000"}


@pytest.fixture
def endpoint() -> Iterator[ScriptedEndpoint]:
    """An endpoint that takes pictures."""
    with scripted_endpoint() as found:
        yield found


@pytest.fixture
def worked(install: Callable[..., Installation], clip: Callable[[str], str]) -> Installation:
    """The results of a clip."""
    here = install(**QUICK_SESSION)
    here.run("produce", clip(f"{NAME}.mkv"), "--start-at", "2026-01-01T00:00:00Z").succeeded()
    here.run("work", "--until-end").succeeded()
    return here


def published(here: Installation) -> list[Description]:
    """Return all descriptions on the topic."""
    records = here.records(descriptions_topic(here.pipeline))
    return [decode_description(record.key, record.value, record.headers) for record in records]


def flags(endpoint: ScriptedEndpoint, *more: str) -> list[str]:
    """Return the options of a run from the beginning, over all windows."""
    asked = ["--endpoint", endpoint.url, "--model", "tiny", "--since", "beginning", "--repeat"]
    return [*asked, *more]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("point", ["answered", "published"])
def test_a_program_that_is_killed_describes_each_window_once(
    worked: Installation, endpoint: ScriptedEndpoint, point: str
) -> None:
    """Between answer and publication, and between publication and commit, at several windows."""
    windows = {result.id for result in worked.in_topic()}
    assert len(windows) > 5

    for number in (1, 2, 2):
        dying = Program(
            [point, str(number), *flags(endpoint)], worked.environ(), worked.folder, module="tests.e2e.dying_describer"
        )
        assert dying.wait().exit_code == -signal.SIGKILL
    worked.run("describe", *flags(endpoint, "--until-end")).succeeded()

    found = Counter(one.result for one in published(worked))
    assert found == dict.fromkeys(windows, 1)
    # An answer that was lost before its publication is asked for again; a published one never is.
    lost = 3 if point == "answered" else 0
    assert len(endpoint.asked) == len(windows) + lost

    asked = len(endpoint.asked)
    worked.run("describe", *flags(endpoint, "--until-end", "--group", "replay")).succeeded()
    assert len(endpoint.asked) == asked
    assert len(published(worked)) == len(windows)


def test_descriptions_are_watched_previewed_and_monitored(worked: Installation, endpoint: ScriptedEndpoint) -> None:
    """The request has the clip's pictures and words; a live program has its own health checks and metrics."""
    (port,) = free_ports(1)
    variables = {"TRIPTYCH_DESCRIBE_HTTP_PORT": str(port), "TRIPTYCH_DESCRIBE_KEY": "sk-hidden"}
    endpoint.key = "sk-hidden"
    with worked.running("describe", *flags(endpoint, "--ask", "What is it?"), **variables) as program:
        wait_until(lambda: len(published(worked)) == len(worked.in_topic()), "all windows to be described")
        wait_until(lambda: status_response(port, "/readyz")[0] == 200, "it to be ready")
        assert status_response(port, "/healthz")[0] == 200
        assert 'triptych_descriptions_total{outcome="described"}' in status_response(port, "/metrics")[1]
        done = program.stop()
    assert done.exit_code == 0
    assert "sk-hidden" not in done.err
    assert all("image_url" in kinds(body) for body in endpoint.asked)
    assert any("unless to be rather" in json.dumps(body) for body in endpoint.asked)

    lines = worked.run("watch", "--descriptions", "--json", "--until-end").succeeded().out.splitlines()
    assert [json.loads(line)["result"] for line in lines] == [one.result for one in published(worked)]
    assert {json.loads(line)["answers"][0]["question"] for line in lines} == {"What is it?"}

    asked = len(endpoint.asked)
    result_id = worked.in_topic()[2].id
    preview = worked.run("describe", *flags(endpoint, "--dry-run", result_id)).succeeded()
    body = json.loads(preview.out)
    assert body["model"] == "tiny"
    assert kinds(body).count("image_url") == 4
    assert len(endpoint.asked) == asked


def test_an_installation_without_the_topic_says_what_to_do(worked: Installation, endpoint: ScriptedEndpoint) -> None:
    """Topics that an earlier version made are completed by one command."""
    other = worked.run("describe", *flags(endpoint), TRIPTYCH_PIPELINE="elsewhere")
    assert other.exit_code == 2
    assert "triptych topics create --pipeline elsewhere" in other.err
