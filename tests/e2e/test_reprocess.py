"""`triptych work --from` on real servers: the sample clip is processed again under other pipeline names."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from tests.e2e.programs import Installation, assert_equal_results, wait_until
from tools.devservers.ports import free_ports

STATIC = {"TRIPTYCH_KAFKA_GROUP_INSTANCE_ID": "the-only-one"}
"""A static member need not wait for the eviction of its previous instance."""


@pytest.mark.timeout(300)
def test_a_film_is_processed_again_under_another_name(
    install: Callable[..., Installation], clip: Callable[[str], str]
) -> None:
    """The results are equal with the same settings, also after a kill, and different with other windows.

    When a time range is complete, there is nothing to do.
    """
    here = install(TRIPTYCH_WORKER_COMMIT_INTERVAL_MS="50")
    begun = datetime.now(UTC).isoformat()
    here.run("produce", clip("librivox_city_15s.mkv"), "--start-at", "2026-01-01T00:00:00Z").succeeded()
    here.run("work", "--until-end").succeeded()
    again, halves = here.other_pipeline(f"{here.pipeline}-again"), here.other_pipeline(f"{here.pipeline}-halves")

    command = ("work", "--from", begun, "--pipeline", again.pipeline)
    with here.running(*command, TRIPTYCH_BATCH_MAX_WINDOWS="1", **STATIC) as worker:
        wait_until(lambda: again.count_results() > 0 or not worker.is_running, "a first result")
        worker.kill()
    done = here.run(*command, **STATIC).succeeded()
    with here.running("work", "--from", "-1h", "--window-ms", "1000", "--pipeline", halves.pipeline) as other:
        assert_equal_results(again.in_topic(), here.in_topic())
        assert_equal_results(again.in_redis(), here.in_redis())
        assert f"{len(here.in_topic())} windows of 1 stream, from 2026-01-01T00:00:00Z to " in done.out
        assert f"triptych diff {here.pipeline} {again.pipeline}" in done.out
        alike = here.run("diff", here.pipeline, again.pipeline).succeeded()
        assert alike.out.splitlines() == [f"{len(here.in_redis())} windows equal, 0 differ"]
        assert "done before" in here.run(*command, **STATIC).succeeded().out
        assert again.count_results() == here.count_results()
        other.wait().succeeded()
    assert {result.end_ns - result.start_ns for result in halves.in_topic()} == {1_000_000_000}
    assert halves.in_topic()[-1].end_ns == here.in_topic()[-1].end_ns


@pytest.mark.timeout(300)
def test_the_commands_of_the_readme_work_beside_a_running_worker(
    install: Callable[..., Installation], clip: Callable[[str], str]
) -> None:
    """The port of the settings is in use, and the new pipeline has no topics yet."""
    (port,) = free_ports(1)
    here = install(TRIPTYCH_HTTP_PORT=str(port))
    here.run("produce", clip("bbb_5s_51ch.mp4"), "--start-at", "2026-01-01T00:00:00Z").succeeded()
    candidate = f"{here.pipeline}-candidate"
    command = ("work", "--from", "-2h", "--pipeline", candidate, "--window-ms", "1000")
    with here.running("work") as worker:
        worker.wait_for("partitions_assigned")
        wait_until(lambda: here.count_results() > 0, "results")

        refused = here.run(*command)
        assert refused.exit_code == 2
        assert f"`triptych topics create --pipeline {candidate}` creates it" in refused.err
        done = here.run(*command, "--create-topics").succeeded()
        assert done.events("status_port_in_use")[0]["port"] == port
        assert f"{candidate}.results: created with" in done.err
        strict = here.run(*command, "--http-port", str(port))
        assert (strict.exit_code, f"cannot listen on 127.0.0.1:{port}" in strict.err) == (2, True)

        compared = here.run("diff", here.pipeline, candidate)
        assert compared.exit_code == 1
        assert f"{here.pipeline} has windows of 2 s, {candidate} of 1 s: compared by overlap" in compared.out
        assert f"windows of {here.pipeline} with the window of {candidate} that overlaps it most" in compared.out
