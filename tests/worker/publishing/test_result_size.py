"""The size of a result with vectors: it must stay small, because every window of every stream has one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest

from tests.worker.world import Feed, World
from triptych.models.null import NullModel
from triptych.models.prediction import PredictedLabel, WindowPrediction, WindowVectors
from triptych.models.window import PreparedCue, PreparedWindow
from triptych.schemas.perception.vectors import decode_vector

MakeFeed = Callable[..., Feed]
MOST_BYTES = 8_000
DIMENSIONS = 512
LINES = ("He was not an ill-disposed young man, unless to be", "rather cold-hearted and rather selfish is to be so.")


class _SemanticModel(NullModel):
    """Returns what the base model returns for a window with three modalities and two typical cues."""

    def predict(self, windows: Sequence[PreparedWindow]) -> list[WindowPrediction]:
        random = np.random.default_rng(0)
        units = random.standard_normal((4, DIMENSIONS)).astype(np.float32)
        units /= np.linalg.norm(units, axis=1, keepdims=True)
        vectors = WindowVectors("semantic-1", *units, frames=units)
        return [
            replace(
                prediction,
                visual=tuple(PredictedLabel(f"Mexican hairless {index}", 0.123456789 / index) for index in range(1, 6)),
                sound=tuple(PredictedLabel(name, 0.123456789) for name in ("speech", "music", "silence", "singing")),
                words=tuple(PreparedCue(line, window.start_ns, window.end_ns, "en") for line in LINES),
                language="en",
                speech_share=0.8301,
                loudness_lufs=-21.4321,
                vectors=vectors,
            )
            for window, prediction in zip(windows, super().predict(windows), strict=True)
        ]


def test_a_result_with_vectors_of_all_modalities_is_below_eight_kilobytes(
    world: World, feed: MakeFeed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The vectors can be read back from it, in half precision; novelty is computed from them."""
    monkeypatch.setattr("triptych.worker.wiring.model_from", lambda _: _SemanticModel(world.spec))
    world.send(feed("city").play(4))
    world.work()
    results = sorted(world.results(), key=lambda result: result.start_ns)
    assert len(results) == 2
    for result in results:
        assert 5_000 < len(result.model_dump_json().encode()) < MOST_BYTES
        assert result.vectors is not None
        for encoded in (result.vectors.fused, result.vectors.video, result.vectors.audio, result.vectors.subtitles):
            assert encoded is not None
            assert np.linalg.norm(decode_vector(encoded)) == pytest.approx(1, abs=1e-3)
    assert [result.embedding for result in results] == [None, None]
    assert results[0].novelty is None
    assert results[1].novelty == pytest.approx(1, abs=0.3)  # the second to fourth vectors are not the first
