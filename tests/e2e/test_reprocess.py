"""`triptych work --from` on real servers: the sample clip is processed again under other pipeline names."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from tests.e2e.programs import Installation, assert_equal_results, wait_until

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
