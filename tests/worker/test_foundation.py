"""A worker with foundation models beside its model, end to end in memory: what they say stands in the results."""

from __future__ import annotations

import io
import wave
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.models.foundation import tiny_models
from tests.worker.world import T0, Feed, World
from triptych.models.foundation.space import build_foundation_space
from triptych.schemas.names import prompts_topic
from triptych.schemas.perception.prompt_codec import encode_prompt_change
from triptych.schemas.perception.prompts import Prompt, PromptChange
from triptych.schemas.perception.vectors import decode_vector, fused_vector
from triptych.schemas.records import AudioChunk, InputRecord
from triptych.schemas.results import Result
from triptych.settings.loading import load
from triptych.transport.records import Message
from triptych.transport.topic_settings import TopicSettings

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


def noise(seed: int) -> bytes:
    """Return half a second of noise with a pitch of its own, encoded as WAV."""
    random = np.random.default_rng(seed)
    times_s = np.arange(8_000) / 16_000
    tone = np.sin(2 * np.pi * random.integers(100, 4_000) * times_s) + random.normal(0, 0.2, 8_000)
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes((tone * 8_000).astype(np.int16).tobytes())
    return buffer.getvalue()


def loud(seconds: int, silent_from_s: int, silent_to_s: int) -> list[InputRecord]:
    """Return the records of a stream whose sound changes, and is missing for a while."""
    records: list[InputRecord] = []
    for record in Feed("cam").play(seconds):
        if isinstance(record, AudioChunk):
            second = (record.start_ns - T0) // 10**9
            if silent_from_s <= second < silent_to_s:
                continue
            records.append(record.model_copy(update={"data": noise(record.start_ns // (10**9 // 2))}))
        else:
            records.append(record)
    return records


def ask(world: World, prompt: Prompt) -> None:
    """Create the topic of prompts, with one."""
    world.transport.admin().create([TopicSettings(prompts_topic("triptych"), 1, cleanup_policy="compact")])
    change = PromptChange(id="1", name=prompt.name, prompt=prompt)
    wire = encode_prompt_change(change, pipeline="triptych", moment_ns=T0)
    world.send_raw(Message(prompts_topic("triptych"), wire.key, wire.value, wire.headers, 0))


def test_prompts_are_compared_with_sounds_in_their_own_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Less the negatives, by the stream's own past, masked without audio. Kills change nothing."""
    clap = f"folder:{tiny_models.tiny_clap(tmp_path / 'clap')}"
    settings = load(
        overrides={
            "model.name": "null",
            "batch.max_delay_ms": 0,
            "batch.max_windows": 1,
            "prompts.delay_ms": 0,
            "model.picture_space": f"folder:{tiny_models.tiny_siglip(tmp_path / 'siglip')}",
            "model.sound_space": clap,
        },
        environ={},
    )
    built: list[object] = []
    build = tiny_models.transformers.AutoModel.from_pretrained
    monkeypatch.setattr(
        tiny_models.transformers.AutoModel, "from_pretrained", lambda *a, **k: built.append(a) or build(*a, **k)
    )
    prompt = Prompt(name="alarm", texts={"en": "an alarm"}, negatives=("music",))
    undisturbed, killed = World(), World()
    records = loud(40, 20, 26)
    for world in (undisturbed, killed):
        world.settings = settings
        ask(world, prompt)
    undisturbed.send(records)
    undisturbed.work()
    assert len(built) == 2  # the texts of the prompt share the models of the windows
    parts = [records[: len(records) // 3], records[len(records) // 3 : -40], records[-40:]]
    for part in parts[:-1]:  # a worker that has all records might publish all windows before it is killed
        killed.send(part)
        before = len(killed.results())
        killed.work_until(lambda: len(killed.results()) > before)  # noqa: B023 - ends here
        killed.evict_members()
    published = len(killed.results())
    killed.send(parts[-1])
    killed.work()
    assert 0 < published < 20

    results = sorted(undisturbed.results(), key=lambda result: result.start_ns)
    matches = [(result.matches or {})["alarm"] for result in results]
    assert [match.similarity is None for match in matches] == [False] * 20
    assert [match.evidence.audio is None for match in matches] == [
        number < 8 or 10 <= number < 13 for number in range(20)
    ]
    texts = build_foundation_space(clap, torch.device("cpu")).embed_texts(["an alarm", "music"])
    for number, (result, match) in enumerate(zip(results, matches, strict=True)):
        assert match.similarity is not None
        assert match.similarity.video is not None
        assert (match.similarity.audio is None) == (result.sound_vectors is None) == (10 <= number < 13)
        if result.sound_vectors is not None:
            heard = np.asarray(fused_vector(result.sound_vectors), np.float32)
            alarm, music = (texts @ heard).tolist()
            assert match.similarity.audio == pytest.approx(alarm - music, abs=2e-3)
    assert len({match.similarity.audio for match in matches if match.similarity}) > 10
    again = {result.id: result.matches for result in killed.results()}
    assert again == {result.id: result.matches for result in results}


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
