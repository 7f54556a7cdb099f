"""A worker with foundation models beside its model, end to end in memory: what they say stands in the results."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.models.foundation import tiny_models
from tests.worker.world import Feed, World
from triptych.schemas.perception.vectors import decode_vector
from triptych.schemas.results import Result
from triptych.settings.loading import load

pytestmark = pytest.mark.filterwarnings("default")  # those of the libraries are not ours to mend


def test_results_hold_the_vectors_of_both_spaces_and_restarts_do_not_change_them(tmp_path: Path) -> None:
    """Kill the worker after some steps: the next one publishes the same vectors under the same model."""
    settings = load(
        overrides={
            "model.name": "null",
            "batch.max_delay_ms": 0,
            "model.picture_space": f"folder:{tiny_models.tiny_siglip(tmp_path / 'siglip')}",
            "model.sound_space": f"folder:{tiny_models.tiny_clap(tmp_path / 'clap')}",
            "model.detector": f"folder:{tiny_models.tiny_rt_detr(tmp_path / 'rt_detr')}",
            "model.detector_threshold": 0.05,
            "model.sentiment": f"folder:{tiny_models.tiny_xlm_r(tmp_path / 'xlm_r')}",
        },
        environ={},
    )
    undisturbed, killed = World(), World()
    for world in (undisturbed, killed):
        world.settings = settings
        world.send(Feed("cam").play(8))
    undisturbed.work()
    killed.work_some(30)
    killed.evict_members()
    killed.work()

    results = {result.id: result for result in undisturbed.results()}
    assert len(results) == 4
    for result in results.values():
        assert result.vectors is not None
        assert result.sound_vectors is not None
        assert result.vectors.space.startswith("siglip@")
        assert result.sound_vectors.space.startswith("clap@")
        assert sum(number**2 for number in decode_vector(result.vectors.fused or "")) == pytest.approx(1, abs=0.01)
        assert result.vectors.video is None  # the fused vector is that of the pictures, and not repeated
        assert result.vectors.subtitles is not None
        assert {found.label for found in result.detections} <= {"person", "dog", "car"}
        assert result.detections
        assert result.counts is not None
        assert {label.label for label in result.predictions["text_sentiment"]} == {"negative", "neutral", "positive"}
        assert Result.model_validate_json(result.model_dump_json()) == result
    assert len({result.model.sha256 for result in results.values()}) == 1
    again = {result.id: result for result in killed.results()}
    assert again.keys() == results.keys()
    for key, result in again.items():
        assert (result.vectors, result.sound_vectors) == (results[key].vectors, results[key].sound_vectors)
        assert (result.detections, result.counts) == (results[key].detections, results[key].counts)
        assert (result.predictions, result.model) == (results[key].predictions, results[key].model)


def test_the_shadow_runs_without_the_foundation_models(tmp_path: Path) -> None:
    """It is compared by its own predictions, and would load their weights a second time."""
    world = World()
    world.settings = load(
        overrides={
            "model.name": "null",
            "model.shadow": "null",
            "model.shadow_share": 1,
            "batch.max_delay_ms": 0,
            "model.picture_space": f"folder:{tiny_models.tiny_siglip(tmp_path)}",
        },
        environ={},
    )
    loaded: list[str] = []
    build = tiny_models.transformers.AutoModel.from_pretrained

    def noted(*args: object, **kwargs: object) -> object:
        loaded.append(str(args))
        return build(*args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiny_models.transformers.AutoModel, "from_pretrained", noted)
        world.send(Feed("cam").play(4))
        world.work()
    assert len(loaded) == 1
    assert all(result.vectors is not None for result in world.results())
