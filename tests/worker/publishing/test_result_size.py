"""The size of a result with vectors: it must stay small, because every window of every stream has one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.worker.world import T0, Feed, World
from triptych.models.model import DetectionSpec, InputSpec
from triptych.models.null import NullModel
from triptych.models.prediction import PredictedDetection, PredictedLabel, WindowPrediction, WindowVectors
from triptych.models.spaces.semantic_windows import fuse
from triptych.models.window import PreparedCue, PreparedWindow
from triptych.schemas.names import Modality, prompts_topic
from triptych.schemas.perception.prompt_codec import encode_prompt_change
from triptych.schemas.perception.prompts import Prompt, PromptChange
from triptych.schemas.perception.vectors import decode_vector, fused_vector
from triptych.schemas.results import Result
from triptych.settings.loading import load
from triptych.transport.records import Message
from triptych.transport.topic_settings import TopicSettings
from triptych.worker.matching import open_prompts

MakeFeed = Callable[..., Feed]
MOST_BYTES = 8_000
DIMENSIONS = 512
SPEC = InputSpec(4, 32, 32, 16_000, detection=DetectionSpec(2, 640))
LINES = ("He was not an ill-disposed young man, unless to be", "rather cold-hearted and rather selfish is to be so.")
LABELS = ("person", "face", "traffic light", "vehicle registration plate", "car")
WEIGHTS: dict[Modality, float] = {"video": 1.0, "audio": 0.25, "subtitles": 1.0}


class _SemanticModel(NullModel):
    """Returns what the base model returns for a window with three modalities and two typical cues."""

    def __init__(self, spec: InputSpec, detections: int = 0) -> None:
        super().__init__(spec)
        self._detections = detections
        self._random = np.random.default_rng(0)

    def predict(self, windows: Sequence[PreparedWindow]) -> list[WindowPrediction]:
        return [
            replace(
                prediction,
                visual=tuple(PredictedLabel(f"Mexican hairless {index}", 0.123456789 / index) for index in range(1, 6)),
                sound=tuple(PredictedLabel(name, 0.123456789) for name in ("speech", "music", "silence", "singing")),
                words=tuple(PreparedCue(line, window.start_ns, window.end_ns, "en") for line in LINES),
                language="en",
                speech_share=0.8301,
                loudness_lufs=-21.4321,
                detections=self._found(window),
                vectors=self._vectors(window),
            )
            for window, prediction in zip(windows, super().predict(windows), strict=True)
        ]

    def _vectors(self, window: PreparedWindow) -> WindowVectors:
        by_modality = dict(zip(WEIGHTS, unit_vectors(self._random, len(WEIGHTS)), strict=True))
        fused = fuse(by_modality)
        assert fused is not None
        frames = unit_vectors(self._random, len(window.frame_times_ns))
        return WindowVectors("semantic-1", fused, **by_modality, frames=frames, weights=WEIGHTS)

    def _found(self, window: PreparedWindow) -> tuple[PredictedDetection, ...]:
        """Return objects in the pictures of the window, at places of 1920 x 1080 pixels that later windows repeat."""
        pictures = window.pictures or ()
        found = []
        for number in range(self._detections if pictures else 0):
            left, top = 170.123 * (number % 11), 88.456 * (number % 10)
            box = (left, top, left + 160.789, top + 80.321)
            label, time_ns = LABELS[number % len(LABELS)], pictures[number % len(pictures)].time_ns
            found.append(PredictedDetection(time_ns, label, 0.987654321 - number / 50, box))
        return tuple(found)


class _Texts:
    """The texts of the space."""

    name = "semantic-1"

    def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return vectors float32 [N, 512]."""
        return unit_vectors(np.random.default_rng(1), len(texts))


def unit_vectors(random: np.random.Generator, number: int) -> NDArray[np.float32]:
    """Return random vectors of length 1, float32 [number, 512]."""
    vectors = random.standard_normal((number, DIMENSIONS)).astype(np.float32)
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def published(world: World, feed: MakeFeed, monkeypatch: pytest.MonkeyPatch, *, detections: int) -> list[Result]:
    """Return the results of a worker with a prompt, in order; the last ones have a past."""
    monkeypatch.setattr("triptych.worker.wiring.model_from", lambda _: _SemanticModel(SPEC, detections))
    monkeypatch.setattr(open_prompts, "build_text_space", lambda *_: _Texts())
    world.settings = load(overrides={"prompts.delay_ms": 0, "batch.max_delay_ms": 0}, environ={})
    world.transport.admin().create([TopicSettings(prompts_topic("triptych"), 1, cleanup_policy="compact")])
    prompt = Prompt(name="person", texts={"en": "a person with a dog", "zh": "带狗的人"}, negatives=("a crowd",))
    change = PromptChange(id="1", name=prompt.name, prompt=prompt)
    wire = encode_prompt_change(change, pipeline="triptych", moment_ns=T0)
    publisher = world.transport.publisher()
    publisher.send(Message(prompts_topic("triptych"), wire.key, wire.value, wire.headers, 0)).result(timeout=5)
    publisher.close(5)
    world.send(feed("city").play(60))
    world.work()
    return sorted(world.results(), key=lambda result: result.start_ns)


@pytest.mark.parametrize(("detections", "most_bytes"), [(0, 6_600), (6, 7_500), (20, 8_900)])
def test_the_size_of_a_result_by_its_detections(
    world: World, feed: MakeFeed, monkeypatch: pytest.MonkeyPatch, detections: int, most_bytes: int
) -> None:
    """With three modalities, two cues, quality, tracks, counts and a prompt that has a past: docs/spaces.md."""
    result = published(world, feed, monkeypatch, detections=detections)[-2]
    assert len(result.detections) == detections
    assert {detection.track is None for detection in result.detections} <= {False}
    match = (result.matches or {})["person"]
    assert match.quantile is not None
    assert None not in (match.evidence.video, match.evidence.audio, match.evidence.subtitles, match.at_ns)
    assert (match.evidence.detections is None) == (not detections)
    assert result.quality is not None
    size = len(result.model_dump_json().encode())
    assert most_bytes - 300 < size < most_bytes


def test_a_result_with_vectors_of_all_modalities_is_below_eight_kilobytes(
    world: World, feed: MakeFeed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The vectors can be read back from it, in half precision; the fused one follows from them."""
    results = published(world, feed, monkeypatch, detections=6)
    random = np.random.default_rng(0)
    for result in results:
        assert len(result.model_dump_json().encode()) < MOST_BYTES
        assert result.vectors is not None
        assert result.vectors.fused is None
        assert result.vectors.weights == WEIGHTS
        own = [result.vectors.video, result.vectors.audio, result.vectors.subtitles]
        expected = unit_vectors(random, 3)
        np.testing.assert_allclose([decode_vector(vector or "") for vector in own], expected, atol=1e-4)
        total = np.array(list(WEIGHTS.values())) @ expected
        np.testing.assert_allclose(fused_vector(result.vectors) or (), total / np.linalg.norm(total), atol=1e-4)
        unit_vectors(random, 4)  # the frames
        assert result.embedding is None
    assert results[0].novelty is None
    assert results[1].novelty == pytest.approx(1, abs=0.3)  # random vectors of frames are not like those before
