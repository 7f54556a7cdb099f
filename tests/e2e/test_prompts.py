"""Prompts on real servers: set, matched, replayed, judged, and kept by a worker that is killed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from tests.e2e.programs import Installation, Program, assert_equal_results, wait_until
from tests.worker.test_prompts import film
from triptych.schemas.results import Result

WORKER = "tests.e2e.word_worker"
SETTINGS = {
    "TRIPTYCH_PROMPTS_DELAY_MS": "300",
    "TRIPTYCH_BATCH_MAX_WINDOWS": "1",
    "TRIPTYCH_KAFKA_SESSION_TIMEOUT_MS": "6000",
    "TRIPTYCH_WORKER_COMMIT_INTERVAL_MS": "50",
}


def ask(here: Installation, *command: str) -> str:
    """Run `triptych prompts`, and return what it says."""
    return here.run("prompts", *command).succeeded().out


def worked(here: Installation, *command: str, **variables: str) -> None:
    """Run a worker to its end."""
    Program(command, here.environ(**variables), here.folder, module=WORKER).wait().succeeded()


def killed_after(here: Installation, results: int) -> None:
    """Run a worker until there are this many results, and kill it."""
    worker = Program(("work",), here.environ(), here.folder, module=WORKER)
    wait_until(lambda: here.count_results() >= results or not worker.is_running, f"{results} results")
    assert worker.is_running, f"the worker ended by itself:\n{worker.err}"
    worker.kill()


def matched(results: list[Result]) -> list[tuple[str, ...]]:
    """Return the names of the matches of each result."""
    return [tuple(sorted(result.matches or {})) for result in sorted(results, key=lambda result: result.start_ns)]


@pytest.mark.timeout(600)
def test_prompts_are_matched_replayed_and_survive_kills(install: Callable[..., Installation]) -> None:
    """The results of a killed worker, of an undisturbed one and of a replay are equal, each once."""
    here = install(**SETTINGS)
    begun = datetime.now(UTC).isoformat()
    ask(here, "set", "fire", "fire", "--zh", "着火", "--not", "sunset", "--feeds", "c*")
    ask(here, "set", "dogs", "a dog")
    assert "fire  en: fire, zh: 着火; not: sunset; feeds c*; version " in ask(here, "list")
    records = film()
    here.send(records[: len(records) // 2], one_by_one=True)
    ask(here, "remove", "dogs")
    assert "dogs" not in ask(here, "list")
    here.send(records[len(records) // 2 :], one_by_one=True)

    for published in (3, 9):
        killed_after(here, published)
    worked(here, "work", "--until-end")
    undisturbed = here.other_pipeline(f"{here.pipeline}-undisturbed")
    worked(undisturbed, "work", "--until-end", TRIPTYCH_PROMPTS_PIPELINE=here.pipeline)
    again = here.other_pipeline(f"{here.pipeline}-again")
    worked(here, "work", "--from", begun, "--pipeline", again.pipeline)

    results = here.in_topic()
    assert len(results) == len({result.id for result in results}) == 20
    assert len({result.prompts_version for result in results}) == 2
    names = matched(results)
    assert (names[0], names[-1]) == (("dogs", "fire"), ("fire",))
    for other in (undisturbed.in_topic(), again.in_topic(), here.in_redis()):
        assert_equal_results(other, results)

    judged = results[3].id
    assert "yes for fire" in here.run("feedback", judged, "yes", "--prompt", "fire").succeeded().out
    refused = here.run("feedback", judged, "yes", "--prompt", "smoke")
    assert (refused.exit_code, "its matches are: " in refused.err) == (2, True)
    trained = here.run("train", "--from-feedback", "--out", str(here.folder / "head")).succeeded()
    assert "fire: 1 yes, 0 no; not fitted" in trained.out
