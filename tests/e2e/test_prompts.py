"""Prompts on real servers: set, matched, replayed, judged, and kept by a worker that is killed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.e2e.programs import Finished, Installation, Program, assert_equal_results, wait_until
from tests.worker.test_prompts import film
from triptych.schemas.perception.prompt_head import PromptWeights, new_prompt_head
from triptych.schemas.perception.prompts import Prompt
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


def worked(here: Installation, *command: str, **variables: str) -> Finished:
    """Run a worker to its end."""
    return Program(command, here.environ(**variables), here.folder, module=WORKER).wait().succeeded()


def shadow_head(folder: Path) -> Path:
    """Write a head with other weights for the prompt of the test, and return its path."""
    prompt = Prompt(name="fire", texts={"en": "fire", "zh": "着火"}, negatives=("sunset",))
    path = folder / "shadow_head.json"
    path.write_text(new_prompt_head({"fire": PromptWeights(version=prompt.version, prior=2.0)}).model_dump_json())
    return path


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
    """The results of a killed worker, of an undisturbed one and of a replay are equal, each once.

    The undisturbed worker compares a shadow head, which changes nothing; the answers tell which head is better.
    """
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
    head = str(shadow_head(here.folder))
    shadowed = worked(
        undisturbed, "work", "--until-end", "--shadow-head", head, TRIPTYCH_PROMPTS_PIPELINE=here.pipeline
    )
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

    (compared,) = shadowed.events("prompt_heads_compared")
    ((_, counts),) = [each for each in compared["prompts"].items() if each[0].startswith("fire/")]
    assert counts["windows"] == 20
    assert counts["differed"] > 0
    report = here.run("prompts", "compare", head).succeeded().out
    assert f"20 windows, agreement {1 - counts['differed'] / 20:.1%} at a score of .5" in report
    assert "1 answers (1 yes)" in report
    assert "too few to tell which is better" in report
    assert "20 windows" in here.run("prompts", "compare", head, "--from", "redis").succeeded().out
