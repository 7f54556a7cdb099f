"""Matches of windows with prompts, and their independence of restarts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from tests.worker.matching.prompt_texts import S, change, timeline, vectors
from triptych.models.prediction import PredictedDetection, WindowVectors
from triptych.schemas.names import result_id
from triptych.schemas.perception.matches import Match, MatchEvidence, MatchSimilarity
from triptych.schemas.perception.prompt_head import (
    PRIOR_LOG_ODDS,
    PromptWeights,
    log_odds_of,
    new_prompt_head,
    probability,
)
from triptych.schemas.results import Arrival, Modalities, ModalityReport, ModelReference, Result
from triptych.worker.matching.evidence import evidence_of, similarity_row
from triptych.worker.matching.match_history import MatchHistory
from triptych.worker.matching.prompt_timeline import NoPrompts, PromptSource
from triptych.worker.matching.similarities import WindowSources

TTL_NS = 600 * S
MODEL = ModelReference(name="toy", version="1", sha256="a" * 64)
ABSENT = ModalityReport(state="absent")
FIRE = timeline(change("fire", "fire", at_s=0, negatives=["sunset"]))
CLOCK_NS = 100 * S


def window(number: int, *, stream: str = "city", model: ModelReference = MODEL, revision: int = 0) -> Result:
    """Return the result of a window of 2 s, without matches."""
    start_ns = number * 2 * S
    return Result(
        id=result_id(stream, start_ns, start_ns + 2 * S, revision),
        stream=stream,
        start_ns=start_ns,
        end_ns=start_ns + 2 * S,
        revision=revision,
        closed_by="progress",
        published_ns=1,
        arrival_ms=Arrival(first=number * 2_000, last=number * 2_000 + 1_900),
        modalities=Modalities(video=ABSENT, audio=ABSENT, subtitles=ABSENT),
        model=model,
    )


def sources(found: WindowVectors | None = None, *labels: tuple[str, float], examined: bool = False) -> WindowSources:
    """Return what a window shows. Frames are half a second apart."""
    detections = [PredictedDetection(2 * S, label, score, (0, 0, 1, 1)) for label, score in labels]
    return WindowSources(found, (0, S // 2, S), detections if labels or examined else None)


def fed(history: MatchHistory, shown: Sequence[WindowSources], first: int = 0) -> list[Result]:
    """Return the results of consecutive windows."""
    return [history.with_matches(window(first + number), each, clock_ns=CLOCK_NS) for number, each in enumerate(shown)]


def noisy(seed: int, count: int) -> list[WindowSources]:
    """Return windows of a street with some noise, sound and words now and then missing."""
    random = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        own: dict[str, Any] = {}
        for name in ("video", "audio", "subtitles"):
            vector = random.normal(0, 0.3, 8) + np.eye(8)[5]
            if name == "video" or random.random() < 0.8:
                own[name] = (vector / np.linalg.norm(vector)).astype(np.float32)
        made.append(sources(WindowVectors("words-1", np.ones(8, np.float32), **own)))
    return made


def match_of(result: Result, name: str = "fire") -> Match:
    """Return the match of a result."""
    assert result.matches is not None
    return result.matches[name]


def test_what_is_asked_for_has_a_high_score_and_quantile() -> None:
    """Seen and heard at once it is more certain than seen alone; the usual is not certain at all."""
    history = MatchHistory(TTL_NS, FIRE)
    usual = fed(history, noisy(1, 40))
    seen = history.with_matches(window(40), sources(vectors(video="fire")), clock_ns=CLOCK_NS)
    both = history.with_matches(window(41), sources(vectors(video="fire", audio="fire")), clock_ns=CLOCK_NS)

    assert max(match_of(result).score for result in usual[10:]) < 0.5
    assert match_of(seen).score > 0.5
    assert match_of(both).score > match_of(seen).score
    assert match_of(both).quantile == 1
    assert match_of(seen).evidence.audio is None
    assert [match_of(result).quantile for result in usual[:20]] == [None] * 20


def test_the_log_odds_are_the_sum_of_the_evidence_and_the_prior() -> None:
    """Each source adds its own; one that is missing adds nothing."""
    history = MatchHistory(TTL_NS, FIRE)
    for result in fed(history, noisy(2, 30)):
        match = match_of(result)
        said = [value for value in match.evidence.model_dump().values() if value is not None]
        assert match.log_odds == pytest.approx(PRIOR_LOG_ODDS + sum(said), abs=1e-3)
        assert match.score == pytest.approx(1 / (1 + math.exp(-match.log_odds)), abs=1e-3)


def test_a_negative_counts_against_a_match() -> None:
    """A sunset looks like a fire and a bit of red; it was excluded by name."""
    with_negative, without = (
        MatchHistory(TTL_NS, prompts) for prompts in (FIRE, timeline(change("fire", "fire", at_s=0)))
    )
    shown = [*noisy(3, 30), sources(vectors(video="fire sunset"))]
    excluded, found = (fed(history, shown)[-1] for history in (with_negative, without))

    assert match_of(found).log_odds > match_of(excluded).log_odds + 2
    similarity = match_of(excluded).similarity
    assert similarity is not None
    assert similarity.video == pytest.approx(0, abs=1e-3)


def test_the_best_frame_counts_and_gives_the_time() -> None:
    """What is seen for a moment only is found, and when."""
    history = MatchHistory(TTL_NS, FIRE)
    fed(history, noisy(4, 30))
    found = history.with_matches(
        window(30), sources(vectors(video="street", frames=["street", "fire", "street"])), clock_ns=CLOCK_NS
    )

    assert match_of(found).score > 0.5
    assert match_of(found).at_ns == S // 2


def test_detections_count_once_the_stream_has_shown_what_the_prompt_names() -> None:
    """Before, they cannot tell whether the detector knows it. Plurals and case do not matter."""
    prompts = timeline(change("dogs", "two Dogs", at_s=0))
    history = MatchHistory(TTL_NS, prompts)
    empty = [sources(None, ("car", 0.9))] * 10
    before = fed(history, empty)
    shown = history.with_matches(window(10), sources(None, ("dog", 0.8)), clock_ns=CLOCK_NS)
    after = history.with_matches(window(11), sources(None, examined=True), clock_ns=CLOCK_NS)

    assert {match_of(result, "dogs").evidence.detections for result in before} == {None}
    assert match_of(shown, "dogs").score > 0.5
    assert match_of(shown, "dogs").at_ns == 2 * S
    assert (match_of(after, "dogs").evidence.detections or 0) < 0


def test_vectors_of_another_space_are_never_compared() -> None:
    """Then only detections are left; without them there is no match."""
    history = MatchHistory(TTL_NS, FIRE)
    other = WindowVectors("other-1", np.ones(8, np.float32), video=np.ones(8, np.float32))
    result = history.with_matches(window(0), sources(other), clock_ns=CLOCK_NS)

    assert result.matches == {}
    assert result.prompts_version is not None


def test_without_prompts_a_result_stays_as_it_is() -> None:
    """And has no version of them."""
    result = window(0)
    assert MatchHistory(TTL_NS, NoPrompts()).with_matches(result, sources(vectors(video="fire")), clock_ns=1) is result
    assert MatchHistory(TTL_NS, FIRE).with_matches(result, sources(), clock_ns=5 * S - 1) is result


@pytest.mark.parametrize("killed_after", [1, 13, 37])
def test_a_restart_continues_with_equal_matches(killed_after: int) -> None:
    """The history is restored from published results only, as they are on the topic."""
    shown = noisy(5, 60)
    undisturbed = fed(MatchHistory(TTL_NS, FIRE), shown)

    history = MatchHistory(TTL_NS, FIRE)
    published = [result.model_dump_json() for result in fed(history, shown[:killed_after])]
    successor = MatchHistory(TTL_NS, FIRE)
    for document in published:
        successor.remember(Result.model_validate_json(document))
    continued = fed(successor, shown[killed_after:], first=killed_after)

    assert continued == undisturbed[killed_after:]
    forgetful = fed(MatchHistory(TTL_NS, FIRE), shown[killed_after:], first=killed_after)
    assert forgetful != undisturbed[killed_after:]  # the past does matter


def test_a_changed_prompt_starts_with_a_new_past() -> None:
    """The similarities to another text say nothing about this one. Another prompt's change does not matter."""
    changed = timeline(change("fire", "fire", at_s=0), change("dog", "dog", at_s=50), change("fire", "smoke", at_s=100))
    history = MatchHistory(TTL_NS, changed)
    for number, each in enumerate(noisy(6, 40)):
        history.with_matches(window(number), each, clock_ns=40 * S)
    same = history.with_matches(window(40), sources(vectors(video="street")), clock_ns=70 * S)
    new = history.with_matches(window(41), sources(vectors(video="street")), clock_ns=110 * S)

    assert match_of(same).quantile is not None
    assert match_of(new).quantile is None
    assert match_of(new).version != match_of(same).version


def test_another_model_and_another_stream_have_another_past() -> None:
    """Their similarities have other usual values."""
    history = MatchHistory(TTL_NS, FIRE)
    fed(history, noisy(7, 40))
    retrained = ModelReference(name="toy", version="2", sha256="b" * 64)
    shown = sources(vectors(video="street"))

    assert match_of(history.with_matches(window(40), shown, clock_ns=CLOCK_NS)).quantile is not None
    for other in (window(41, model=retrained), window(41, stream="gate")):
        assert match_of(history.with_matches(other, shown, clock_ns=CLOCK_NS)).quantile is None


def test_a_revision_takes_the_place_of_its_window() -> None:
    """It is compared with windows before its own, and does not count twice."""
    history = MatchHistory(TTL_NS, FIRE)
    shown = noisy(8, 40)
    first = fed(history, shown)
    again = history.with_matches(window(39, revision=1), shown[39], clock_ns=CLOCK_NS)

    assert again.matches == first[39].matches


def test_a_fitted_head_weighs_the_sources() -> None:
    """For the version of the prompt that it was fitted to; the version of the prompts tells that there is a head."""
    plain, fitted = MatchHistory(TTL_NS, FIRE), None
    version = match_of(fed(plain, noisy(9, 10))[0]).version
    head = new_prompt_head({"fire": PromptWeights(version=version, prior=-1.0, by_source={"video": 2.0, "audio": 0.0})})
    fitted = fed(MatchHistory(TTL_NS, FIRE, head), noisy(9, 10))
    shipped = fed(MatchHistory(TTL_NS, FIRE), noisy(9, 10))
    for result, other in zip(fitted, shipped, strict=True):
        evidence = match_of(other).evidence
        expected = -1.0 + 2 * (evidence.video or 0) + (evidence.subtitles or 0)
        assert match_of(result).log_odds == pytest.approx(expected, abs=1e-3)
        assert result.prompts_version != other.prompts_version
    stale = new_prompt_head({"fire": PromptWeights(version="of an earlier text", prior=5.0)})
    assert [match_of(r).score for r in fed(MatchHistory(TTL_NS, FIRE, stale), noisy(9, 10))] == [
        match_of(r).score for r in shipped
    ]


def test_a_missing_source_costs_no_more_than_its_share() -> None:
    """A source that is present and shows nothing speaks against a match, but only as far as it usually shows it."""
    usual = (-0.02, -0.01, 0, 0.01, 0.02) * 4
    past = np.array([similarity_row(MatchSimilarity(video=0.1 + d, audio=0.1 - d, subtitles=0.1)) for d in usual])
    seen = evidence_of(MatchSimilarity(video=0.2), past, None)
    silent = evidence_of(MatchSimilarity(video=0.2, audio=-0.5), past, None)

    assert seen == MatchEvidence(video=seen.video)
    assert silent.video == seen.video
    assert silent.audio == pytest.approx(math.log(1 - 0.4), abs=0.01)
    assert probability(log_odds_of(seen, {}, 0.0)) > 0.9


def test_a_known_space_needs_no_past() -> None:
    """Its usual similarities stand in for it, until the stream has its own. They are those without negatives."""
    alone = MatchSimilarity(subtitles=0.5)
    none = np.empty((0, 4))
    assert evidence_of(alone, none, None).subtitles is None
    assert (evidence_of(alone, none, "semantic-1").subtitles or 0) > 2
    past = np.array([similarity_row(MatchSimilarity(subtitles=value)) for value in (0.49, 0.5, 0.51) * 80])
    assert (evidence_of(alone, past, "semantic-1").subtitles or 0) < 0


def test_a_prompt_source_is_what_histories_take() -> None:
    """The timeline and the empty source follow the protocol."""
    known: list[PromptSource] = [FIRE, NoPrompts()]
    assert all(source.is_known(1) for source in known)
