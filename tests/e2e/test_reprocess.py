"""`triptych work --from` on real servers: the sample clip is judged again, whole, under other names."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from tests.e2e.programs import Installation, assert_equal_results, wait_until

STATIC = {"TRIPTYCH_KAFKA_GROUP_INSTANCE_ID": "the-only-one"}
"""A worker that has a name need not wait until the group has noticed that it died."""


@pytest.mark.timeout(300)
def test_a_film_is_judged_again_under_another_name(
    install: Callable[..., Installation], clip: Callable[[str], str]
) -> None:
    """Equal under the same settings, also by a worker that was killed; other windows with others; then nothing to do.

    The film's own time lies long before: what counts is when it arrived.
    """
    here = install(TRIPTYCH_WORKER_COMMIT_INTERVAL_MS="50")
    begun = datetime.now(UTC).isoformat()
    here.run("produce", clip("librivox_city_15s.mkv"), "--start-at", "2026-01-01T00:00:00Z").succeeded()
    here.run("work", "--until-end").succeeded()
    again, halves = here.beside(f"{here.pipeline}-again"), here.beside(f"{here.pipeline}-halves")

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
