"""A shadow head of prompts: compared, never published."""

from __future__ import annotations

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.worker.matching.test_match_history import CLOCK_NS, FIRE, TTL_NS, fed, noisy, sources, vectors, window
from tests.worker.reprocessing.test_run import Past, contents_by_id
from tests.worker.test_prompts import DELAY_MS, past, play
from triptych.consumers.prompts.head_comparison import HeadPair, compare_heads
from triptych.schemas.errors import UsageError
from triptych.schemas.perception.prompt_head import (
    SHIPPED_HEAD,
    PromptHead,
    PromptWeights,
    new_prompt_head,
    probability,
)
from triptych.schemas.results import Result
from triptych.worker.matching.match_history import MatchHistory
from triptych.worker.observability.events import (
    Event,
    PromptHeadsCompared,
    PromptHeadsSummarised,
    WindowClosed,
    WindowPublished,
)
from triptych.worker.observability.hooks import Hooks
from triptych.worker.serving.prompt_shadow import PromptShadow

__all__ = ["past"]  # a fixture


def shown() -> list[Result]:
    """Return results of which some fit the prompt."""
    history = MatchHistory(TTL_NS, FIRE)
    usual = fed(history, noisy(1, 30))
    fires = [
        history.with_matches(window(30 + number), sources(vectors(video="fire", audio="fire")), clock_ns=CLOCK_NS)
        for number in range(3)
    ]
    return [*usual, *fires]


def head_for(results: list[Result], **weights: float) -> PromptHead:
    """Return a head that weighs the sources of the prompt otherwise."""
    version = (results[0].matches or {})["fire"].version
    return new_prompt_head({"fire": PromptWeights(version=version, prior=-3.0, by_source=weights)})


def test_agreement_and_distance_are_summarised() -> None:
    """Once the interval is over, and at the end. Revisions and results without matches do not count."""
    results = shown()
    now_s = [0.0]
    events: list[Event] = []
    head = head_for(results, video=0.0, audio=0.0)  # nothing fits by this head
    shadow = PromptShadow(Hooks([events.append]), head, monotonic_s=lambda: now_s[0])
    for result in results[:32]:
        shadow.compare(result)
    shadow.compare(results[0].model_copy(update={"revision": 1, "id": f"{results[0].window}/1"}))
    shadow.compare(window(90))
    assert {type(event) for event in events} == {PromptHeadsCompared}
    now_s[0] = 60.0
    shadow.compare(results[32])
    shadow.summarise()

    counted = [event for event in events if isinstance(event, PromptHeadsCompared)]
    (summary,) = [event for event in events if isinstance(event, PromptHeadsSummarised)]
    (agreement,) = summary.prompts
    fits = [(result.matches or {})["fire"].score >= 0.5 for result in results]
    assert sum(fits) >= 3
    assert (agreement.windows, agreement.differed) == (33, sum(fits))
    assert sum(event.differed for event in counted) == sum(fits)
    assert sum(event.matches for event in counted) == 33
    served = [match for result in results for match in (result.matches or {}).values()]
    distances = [abs(probability(head.log_odds_of("fire", match)) - match.score) for match in served]
    assert agreement.mean_distance == pytest.approx(sum(distances) / 33)
    assert summary.shadow_version == head.version
    assert summary.differing[-1] == ("fire", "city", results[32].start_ns)

    (offline,) = compare_heads(results, [], HeadPair(SHIPPED_HEAD, head))
    assert (offline.windows, offline.differed) == (agreement.windows, agreement.differed)
    assert offline.total_distance / offline.windows == pytest.approx(agreement.mean_distance, abs=1e-3)
    assert offline.of_another_head == 0


def test_a_head_that_is_equal_never_differs() -> None:
    """Weights for another version of the prompt do not count."""
    results = shown()
    events: list[Event] = []
    shadow = PromptShadow(Hooks([events.append]), new_prompt_head({"fire": PromptWeights(version="other", prior=9.0)}))
    for result in results:
        shadow.compare(result)
    shadow.summarise()
    assert isinstance(events[-1], PromptHeadsSummarised)
    (agreement,) = events[-1].prompts
    assert (agreement.differed, agreement.mean_distance) == (0, 0)


def test_a_worker_compares_a_shadow_head_and_publishes_the_same(past: Past, tmp_path: Path) -> None:
    """Each published match is compared once; the results are those of a worker without a shadow."""
    play(past)
    past.work()
    plain = past.results()
    versions = {match.version for result in plain for name, match in (result.matches or {}).items() if name == "fire"}
    path = tmp_path / "head.json"
    head = new_prompt_head({"fire": PromptWeights(version=min(versions), prior=3.0)})
    path.write_text(head.model_dump_json())

    shadowed = past.named(
        "shadowed",
        **{"prompts.delay_ms": DELAY_MS, "prompts.pipeline": "triptych", "prompts.shadow_head": str(path)},
    )
    shadowed.work()
    assert contents_by_id(shadowed.results()) == contents_by_id(plain)
    (summary,) = shadowed.seen(PromptHeadsSummarised)
    matches = sum(len(result.matches or {}) for result in plain)
    assert sum(agreement.windows for agreement in summary.prompts) == matches
    offline = compare_heads(shadowed.results(), [], HeadPair(SHIPPED_HEAD, head))
    assert [(one.prompt, one.version, one.windows, one.differed) for one in offline] == [
        (each.prompt, each.version, each.windows, each.differed) for each in summary.prompts
    ]
    assert sum(each.differed for each in summary.prompts) > 0


def test_a_comparison_that_fails_stops_no_worker(past: Past, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All windows are published, and their records are committed: it is only an observer. The log says what failed."""
    play(past)
    past.work()
    path = tmp_path / "head.json"
    path.write_text(new_prompt_head({"fire": PromptWeights(version="1", prior=3.0)}).model_dump_json())

    def broken(_: float) -> float:
        raise ValueError("a bug in the comparison")

    monkeypatch.setattr("triptych.worker.serving.prompt_shadow.probability", broken)
    settings = {"prompts.delay_ms": DELAY_MS, "prompts.pipeline": "triptych", "prompts.shadow_head": str(path)}
    shadowed = past.named("shadowed", **settings)
    with capture_logs() as logs:
        shadowed.work()
    assert contents_by_id(shadowed.results()) == contents_by_id(past.results())
    assert len(shadowed.seen(WindowPublished)) == len(past.results())
    assert [entry["failed_on"] for entry in logs if entry["event"] == "hook_failed"] == ["WindowPublished"]
    again = shadowed.named("shadowed", **settings)
    again.work()
    assert again.seen(WindowClosed) == []  # all records were committed: nothing was left to do


def test_a_file_that_is_no_head_stops_the_worker_at_its_start(past: Past, tmp_path: Path) -> None:
    """It says what was expected."""
    path = tmp_path / "head.json"
    path.write_text("{}{")
    play(past)
    broken = past.named("broken", **{"prompts.shadow_head": str(path)})
    with pytest.raises(UsageError, match="expected a prompt head"):
        broken.work()
