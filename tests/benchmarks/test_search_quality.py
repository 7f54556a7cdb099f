"""The measures of the benchmark of the search against values computed by hand, and a small run over known feeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.asking.feeds import index_results
from benchmarks.rendered_prompts import START_NS
from benchmarks.search_quality.clips import find_clips
from benchmarks.search_quality.content import SPLITS, read_content
from benchmarks.search_quality.feed_plan import WINDOW_S, StreamPlan, plan_feeds
from benchmarks.search_quality.measuring import MeasuredQuery, mean_of, measure_queries, window_of
from benchmarks.search_quality.metrics import (
    RankingMeasures,
    Window,
    bootstrap_interval,
    measure_ranking,
    true_moments,
)
from benchmarks.search_quality.queries import LabelledQuery, feed_queries
from benchmarks.search_quality.report import tables
from triptych.consumers.searching.window_index import WindowIndex
from triptych.schemas.names import result_id
from triptych.schemas.perception.vectors import Vectors, encode_vector
from triptych.schemas.results import Modalities, ModalityReport, ModelReference, Observations, Result, Words
from triptych.units import NS_PER_S

WINDOW_NS = WINDOW_S * NS_PER_S
SEED = 7
DIMENSIONS = 512


def test_windows_with_a_gap_of_one_are_one_moment() -> None:
    """As the search joins them."""
    gains = {("a", 1): 1, ("a", 3): 2, ("a", 6): 1, ("b", 7): 2, ("b", 8): 0}
    assert [sorted(one.windows) for one in true_moments(gains)] == [[("a", 1), ("a", 3)], [("a", 6)], [("b", 7)]]
    assert [one.gain for one in true_moments(gains)] == [2, 1, 2]


def test_measures_of_a_ranking_are_those_computed_by_hand() -> None:
    """Three moments with the gains 2, 2 and 1. Found: nothing, the one of gain 1, one of gain 2, that one again."""
    moments = true_moments({("a", 1): 2, ("a", 2): 2, ("b", 1): 2, ("c", 1): 1})
    measured = measure_ranking([("a", 9), ("c", 1), ("a", 2), ("a", 1)], moments)
    assert measured.recall == pytest.approx(1 / 2)
    assert measured.reciprocal_rank == pytest.approx(1 / 3)
    found = 1 / math.log2(3) + 2 / math.log2(4)
    best = 2 + 2 / math.log2(3) + 1 / math.log2(4)
    assert measured.ndcg == pytest.approx(found / best)


def test_a_moment_found_by_a_window_that_answers_in_part_earns_that_gain_only() -> None:
    """It is used up by this window."""
    measured = measure_ranking([("a", 2)], true_moments({("a", 1): 2, ("a", 2): 1}))
    assert measured == RankingMeasures(0.0, 0.5, 0.0)


def test_only_the_first_ten_count_and_recall_is_out_of_ten_at_most() -> None:
    """With twenty answers, ten are all that can be found."""
    moments = true_moments({("a", 10 * number): 2 for number in range(20)})
    found = [("a", 10 * number) for number in range(20)]
    assert measure_ranking(found, moments) == RankingMeasures(1.0, 1.0, 1.0)
    assert measure_ranking([("b", n) for n in range(10)] + found, moments) == RankingMeasures(0.0, 0.0, 0.0)


def test_a_query_without_an_answer_cannot_be_measured() -> None:
    """It would divide by nothing."""
    with pytest.raises(ValueError, match="full gain"):
        measure_ranking([], true_moments({("a", 1): 1}))


def test_the_interval_is_wider_where_queries_depend_on_one_another() -> None:
    """Groups are resampled whole."""
    alone = bootstrap_interval([[value] for value in (0.0, 1.0) * 20], SEED)
    pairs = bootstrap_interval([[value] * 4 for value in (0.0, 1.0) * 5], SEED)
    assert alone == (pytest.approx(0.35, abs=0.03), pytest.approx(0.65, abs=0.03))
    assert pairs[1] - pairs[0] > 1.5 * (alone[1] - alone[0])


def test_a_difference_of_modes_is_paired() -> None:
    """Its interval is that of the differences."""
    query = LabelledQuery("tuned", "scene", "a", "en", "a", {})
    good, bad = RankingMeasures(1.0, 0.9, 1.0), RankingMeasures(0.5, 0.4, 1.0)
    measured = [MeasuredQuery(replace(query, subject=str(n)), {"fused": good, "words": bad}) for n in range(5)]
    difference = mean_of(measured, "fused", "ndcg", minus="words")
    assert (difference.mean, difference.low, difference.high) == pytest.approx((0.5, 0.5, 0.5))


def test_both_halves_have_queries_of_each_kind_and_share_no_content() -> None:
    """So nothing that was tuned on one half is measured by the other."""
    tuned, held_out = (read_content(split) for split in SPLITS)
    for own, other in (
        ({one.id for one in tuned.pictures}, {one.id for one in held_out.pictures}),
        ({one.id for one in tuned.topics}, {one.id for one in held_out.topics}),
    ):
        assert own.isdisjoint(other)
    plans = plan_feeds([tuned, held_out], SEED)
    kinds = [[query.kind for query in feed_queries(content, plans)] for content in (tuned, held_out)]
    assert set(kinds[0]) == set(kinds[1])
    assert min(map(len, kinds)) > 150
    assert plans == plan_feeds([tuned, held_out], SEED)


def test_queries_about_clips_that_are_not_there_are_counted() -> None:
    """Those of the other clips are labelled, with the seconds of the answer."""
    clips = find_clips([])
    assert clips.missing == ("nasa_webb_13s.mp4", "friday_6s.mp4")
    seconds = [(clip, number) for clip in clips.files for number in range(16)]
    labelled = list(clips.labelled(seconds))
    assert len(labelled) + clips.unmeasured == len(clips.entries)
    selfish = next(one for one in labelled if one.text == "selfish")
    assert sorted(selfish.gains) == [("librivox_city_15s.mkv", number) for number in range(5, 11)]


class OneDirectionPerThing:
    """Embeds what names a picture in the direction of that picture."""

    name = "known"

    def __init__(self, names: Sequence[str]) -> None:
        self._names = list(names)

    def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return a vector of length 1 for each text, float32 [N, D]."""
        return np.stack([self.direction(next((n for n in self._names if n in text), "")) for text in texts])

    def direction(self, name: str) -> NDArray[np.float32]:
        """Return the direction of a picture; the last one for none."""
        vector = np.zeros(DIMENSIONS, np.float32)
        vector[self._names.index(name) if name in self._names else -1] = 1
        return vector


def _results(plans: Sequence[StreamPlan], space: OneDirectionPerThing) -> list[Result]:
    """Return results of a perfect model, whose vectors tell pictures apart and are silent about words."""
    present = ModalityReport(state="present", items=1, used=1)
    results = []
    for plan in plans:
        for number, shown in enumerate(plan.shown):
            start_ns, end_ns = START_NS + number * WINDOW_NS, START_NS + (number + 1) * WINDOW_NS
            cues = [cue for cue in plan.cues if cue.start_s < 2 * number + 2 and cue.end_s > 2 * number]
            words = tuple(Words(text=cue.text, start_ns=start_ns, end_ns=end_ns) for cue in cues)
            results.append(
                Result(
                    id=result_id(plan.stream, start_ns, end_ns, 0),
                    stream=plan.stream,
                    start_ns=start_ns,
                    end_ns=end_ns,
                    closed_by="progress",
                    published_ns=end_ns,
                    modalities=Modalities(video=present, audio=present, subtitles=present),
                    model=ModelReference(name="generated", version="1", sha256="0" * 64),
                    observations=Observations(words=words),
                    vectors=Vectors(
                        space=space.name, video=encode_vector(space.direction(shown)), weights={"video": 1}
                    ),
                )
            )
    return results


def test_a_search_of_perfect_results_finds_every_picture_and_every_word(tmp_path: Path) -> None:
    """By meaning all pictures, by words all that was said in English, each with a recall of 1; by chance neither."""
    contents = [replace(read_content("tuned"), topics=read_content("tuned").topics[:3], planned=())]
    plans = plan_feeds(contents, SEED, streams=12, windows=60)
    pictures = [picture.id for picture in contents[0].pictures]
    space = OneDirectionPerThing(pictures)
    results = _results(plans, space)
    index_results(tmp_path / "index", results)
    queries = [one for one in feed_queries(contents[0], plans) if one.language == "en"]
    seen = [replace(one, text=one.subject) for one in queries if one.kind == "object"]
    said = [one for one in queries if one.kind == "words said"]
    windows: list[Window] = [window_of(one.stream, one.start_ns, WINDOW_NS) for one in results]
    assert len(seen) > 10
    assert said
    measured = measure_queries(WindowIndex.open(tmp_path / "index"), space, [*seen, *said], windows, WINDOW_NS)
    for one in measured:
        assert one.measures["meaning" if one.query.kind == "object" else "words"].recall == 1, one.query
        assert one.measures["fused"].recall == 1, one.query
    assert mean_of(measured, "chance", "recall").mean < 0.3
    assert "| all | " in "\n".join(tables(measured))
    wrong = [replace(one, gains={("nowhere", 1): 2}) for one in seen[:3]]
    measured = measure_queries(WindowIndex.open(tmp_path / "index"), space, wrong, windows, WINDOW_NS)
    assert all(one.measures["fused"] == RankingMeasures(0.0, 0.0, 0.0) for one in measured)
